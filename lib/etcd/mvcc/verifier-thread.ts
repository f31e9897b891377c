import { type Slot, SlotThread } from '../slot-thread.ts';
import type { Revision } from './revision.ts';
import type { SnapshotPassOptions } from './snapshot-pass.ts';
import type { Anchor, EntryMark, GroupedEntry, HashPoint, SnapshotVerdictData } from './snapshot-verdict.ts';
import type { GroupingSource, VerifierQuestion, VerifierWorkerOptions } from './verifier-protocol.ts';

export interface VerifierThreadOptions extends Pick<
  SnapshotPassOptions,
  'trailer' | 'expectedSize' | 'maxRecordBytes' | 'valuePrefixes'
> {
  readonly grouping?: GroupingSource | undefined;
}

/** Verifies a snapshot in a worker thread; see `createSnapshotVerifier` for what is verified. */
export interface VerifierThread extends AsyncDisposable {
  /**
   * The next bytes of the file; they belong to the caller again when this resolves, which it does once there is room
   * for them, not once they are verified. Calls must not overlap.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** The verdict over all bytes written, for which it may be asked again. */
  finish(): Promise<SnapshotVerdictData>;
  /** The methods of SnapshotVerdict, after `finish`. */
  hashKVAt(point: HashPoint): Promise<number>;
  entryAt(revision: Revision): Promise<EntryMark | undefined>;
  sampleLiveEntries(count: number): Promise<Anchor[]>;
  liveEntriesOf(groups: readonly number[]): Promise<GroupedEntry[]>;
}

/** Four of a mebibyte: while the thread reads one, the caller fills the next; more bring no speed. */
const SLOTS = { count: 4, size: 1 << 20 };

/**
 * Starts the thread. It hashes too: both together run at 0.9 GB/s, about three times what a member streams. If it dies,
 * whatever waits and every later call reject with `thread.died`. Dispose of it in any case: a thread that is left alone
 * keeps its memory.
 */
export function startVerifierThread(options: VerifierThreadOptions): VerifierThread {
  const { trailer, expectedSize, maxRecordBytes, valuePrefixes, grouping } = options;
  const workerOptions: VerifierWorkerOptions = {
    ...{ trailer, expectedSize, maxRecordBytes, valuePrefixes },
    grouping:
      grouping === undefined
        ? undefined
        : { module: grouping.module.href, factory: grouping.factory, options: grouping.options },
  };
  const thread = new SlotThread(new URL('./verifier-worker.ts', import.meta.url), workerOptions, SLOTS);
  const ask = async (question: VerifierQuestion): Promise<unknown> => thread.ask(question);
  let slot: Slot | undefined;
  let filled = 0;
  const send = (): void => {
    if (slot !== undefined && filled > 0) thread.send(slot, filled);
    slot = undefined;
    filled = 0;
  };
  return {
    async write(chunk) {
      for (let at = 0; at < chunk.length;) {
        slot ??= await thread.slot();
        const length = Math.min(chunk.length - at, slot.bytes.length - filled);
        slot.bytes.set(length === chunk.length ? chunk : chunk.subarray(at, at + length), filled);
        filled += length;
        at += length;
        if (filled === slot.bytes.length) send();
      }
    },
    async finish() {
      send();
      return (await ask({ kind: 'finish' })) as SnapshotVerdictData;
    },
    async hashKVAt(point) {
      return (await ask({ kind: 'hashKVAt', point })) as number;
    },
    async entryAt(revision) {
      return (await ask({ kind: 'entryAt', revision })) as EntryMark | undefined;
    },
    async sampleLiveEntries(count) {
      return (await ask({ kind: 'sampleLiveEntries', count })) as Anchor[];
    },
    async liveEntriesOf(groups) {
      return (await ask({ kind: 'liveEntriesOf', groups })) as GroupedEntry[];
    },
    [Symbol.asyncDispose]: async () => thread[Symbol.asyncDispose](),
  };
}
