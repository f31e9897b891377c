import type { Owner } from '../../keyspace/object-ties.ts';
import { visibleText } from '../../visible-text.ts';
import type { ServedResource } from '../discovery.ts';

/** A record as it came out of a store: nobody vouches for it. */
export interface UntrustedRecord {
  /** Behind the prefix in etcd: `configmaps/prod/settings`. */
  readonly key: string;
  readonly value: Buffer;
}

/** An object that may be restored: key, value and API server agree on what it is. */
export interface RestorableObject {
  readonly key: string;
  readonly directory: string;
  /** As kubectl names it: `deployments.apps`. */
  readonly resource: string;
  readonly served: ServedResource;
  /** Undefined for a Namespace itself. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** What it had when it was backed up. */
  readonly uid: string;
  readonly owners: readonly Owner[];
}

/** What became of one object. */
export interface ObjectOutcome {
  readonly result: 'created' | 'replaced' | 'skipped' | 'failed';
  /** `deployments.apps prod/web`; of a record that is none, what it calls itself. */
  readonly object: string;
  /** For people; empty where there is nothing to say. */
  readonly reason: string;
}

export function objectText({
  resource,
  namespace,
  name,
}: Pick<RestorableObject, 'resource' | 'namespace' | 'name'>): string {
  return namespace === undefined ? `${resource} ${name}` : `${resource} ${namespace}/${name}`;
}

/** Text that others wrote, on one line of a report and of limited length. */
export function lineText(text: string, longest = 300): string {
  return visibleText(text.slice(0, longest)).replaceAll('\n', ' ');
}
