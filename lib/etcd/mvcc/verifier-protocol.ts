import type { SnapshotPassOptions } from './snapshot-pass.ts';
import type { HashPoint } from './snapshot-verdict.ts';
import type { Revision } from './revision.ts';

/** How a verifier thread is asked; its worker answers with what the method of that name of SnapshotVerdict does. */
export type VerifierQuestion =
  | { readonly kind: 'finish' }
  | { readonly kind: 'hashKVAt'; readonly point: HashPoint }
  | { readonly kind: 'entryAt'; readonly revision: Revision }
  | { readonly kind: 'sampleLiveEntries'; readonly count: number };

/** A KeyGrouping in another thread: made there by an exported function without parameters. */
export interface GroupingSource {
  readonly module: URL;
  /** Name of the export. */
  readonly factory: string;
}

/** The options of a pass, as they cross to its thread. */
export interface VerifierWorkerOptions extends Pick<
  SnapshotPassOptions,
  'trailer' | 'expectedSize' | 'maxRecordBytes' | 'valuePrefixes'
> {
  readonly grouping: { readonly module: string; readonly factory: string } | undefined;
}
