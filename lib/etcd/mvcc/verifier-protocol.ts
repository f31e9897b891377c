import type { SnapshotPassOptions } from './snapshot-pass.ts';
import type { HashPoint } from './snapshot-verdict.ts';
import type { Revision } from './revision.ts';

/** How a verifier thread is asked; its worker answers with what the method of that name of SnapshotVerdict does. */
export type VerifierQuestion =
  | { readonly kind: 'finish' }
  | { readonly kind: 'hashKVAt'; readonly point: HashPoint }
  | { readonly kind: 'entryAt'; readonly revision: Revision }
  | { readonly kind: 'sampleLiveEntries'; readonly count: number }
  | { readonly kind: 'liveEntriesOf'; readonly groups: readonly number[] };

/** A KeyGrouping in another thread: made there by an exported function. */
export interface GroupingSource {
  readonly module: URL;
  /** Name of the export. */
  readonly factory: string;
  /** What it is called with: plain data. */
  readonly options?: unknown;
}

/** The options of a pass, as they cross to its thread. */
export interface VerifierWorkerOptions extends Pick<
  SnapshotPassOptions,
  'trailer' | 'expectedSize' | 'maxRecordBytes' | 'valuePrefixes'
> {
  readonly grouping:
    { readonly module: string; readonly factory: string; readonly options?: unknown } | undefined;
}
