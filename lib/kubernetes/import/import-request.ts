import type { ServedResource } from '../discovery.ts';
import type { KubeClient } from '../kube-client.ts';
import type { Applying } from './apply-object.ts';
import type { UntrustedRecord } from './stored-record.ts';

export interface ImportRequest extends Applying {
  /** With our own rights, to see which namespaces there are; nothing is written with it. */
  readonly ownClient: KubeClient;
  /** Those that are restored: the requester's right to that was checked. */
  readonly namespaces: readonly string[];
  /** Those that the backup says it holds. */
  readonly held: ReadonlySet<string>;
  readonly served: readonly ServedResource[];
  readonly records: AsyncIterable<UntrustedRecord>;
  readonly place: RecordPlace;
  readonly onProgress: (done: number, total: number) => void;
}

/** Where values wait for their turn. */
export interface RecordPlace {
  append(bytes: Uint8Array): Promise<number>;
  read(offset: number, length: number): Promise<Uint8Array>;
}
