import { Buffer } from 'node:buffer';
import { open, rename, rm } from 'node:fs/promises';
import { GuardianError } from '../../guardian-error.ts';
import { writeFully } from '../bolt/page-output.ts';
import { diskError } from '../durable-file.ts';
import { type LaterHistory, mergeHistory, type MergeOptions } from './merge-history.ts';
import { TRAILER_SIZE } from './snapshot-digest.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';
import { verifySnapshotFile, type VerifyFileOptions } from './verify-snapshot-file.ts';
import { writeCompacted } from './write-compacted.ts';

export interface SnapshotAtOptions
  extends
    Omit<MergeOptions, 'onProgress'>,
    Pick<VerifyFileOptions, 'grouping' | 'valuePrefixes' | 'maxRecordBytes'> {
  /** Drop what a compaction at this revision drops, see `survivors`. Left out: all history of the base is kept. */
  readonly compactAt?: bigint | undefined;
  /** End the file with its sha256, as a snapshot of etcd does. Default true. */
  readonly trailer?: boolean | undefined;
  /** Told of the file with all of its history, before a compaction; what it throws ends the making. */
  readonly onWhole?: ((verdict: SnapshotVerdict) => void) | undefined;
  readonly onProgress?: ((progress: MergeProgress) => void) | undefined;
}

/** Merging counts revisions, verifying bytes. */
export interface MergeProgress {
  readonly step: 'merging' | 'compacting' | 'verifying';
  readonly done: number;
  readonly total: number;
}

/**
 * Turns the database of a base, a file that was verified, into a snapshot at a later revision, in place: what
 * `mergeHistory` does, then a compaction where one is wanted, for which the file is written anew beside it. The result is
 * verified whole, in one pass over what was written: the verdict is about the file as it is now, and always sound.
 *
 * Rejects with `merge.gap`, `mvcc.compacted` and `mvcc.future-revision` (`compactAt` is below what the base holds, or
 * above the revision), `merge.unsound`, and errors of the disk; the file is then to be thrown away.
 */
export async function makeSnapshotAt(
  path: string,
  later: LaterHistory,
  options: SnapshotAtOptions = {},
): Promise<SnapshotVerdict> {
  const { clearAlarms, compactAt, trailer = true, signal, onProgress } = options;
  await mergeHistory(path, later, {
    ...{ clearAlarms, signal },
    onProgress: (done, total) => {
      onProgress?.({ step: 'merging', done, total });
    },
  });
  let verdict = await verifyMerged(path, later.revision, options);
  options.onWhole?.(verdict);
  if (compactAt !== undefined && (compactAt > verdict.compactRevision || verdict.compacting)) {
    verdict = await compact(path, compactAt, verdict, later.revision, options);
  }
  if (trailer) await appendTrailer(path, verdict);
  return trailer ? { ...verdict, trailer: 'ok', size: verdict.totalSize + TRAILER_SIZE } : verdict;
}

/** The pages of the file are what was meant to be written, and what is in them is the history up to the revision. */
async function verifyMerged(
  path: string,
  revision: bigint,
  { grouping, valuePrefixes, maxRecordBytes, signal, onProgress }: SnapshotAtOptions,
): Promise<SnapshotVerdict> {
  const verdict = await verifySnapshotFile(path, {
    ...({ trailer: 'optional', grouping, valuePrefixes, maxRecordBytes, signal } as const),
    onProgress: (done, total) => {
      onProgress?.({ step: 'verifying', done, total });
    },
  });
  const [problem] = verdict.problems;
  if (problem !== undefined) throw unsound(path, `${problem.message} [${problem.code}]`);
  if (verdict.currentRevision !== revision)
    throw unsound(path, `it is at revision ${verdict.currentRevision} instead of ${revision}`);
  return verdict;
}

/** By HashKV, dropping history changes nothing that a member compacted there would tell. */
async function compact(
  path: string,
  compactAt: bigint,
  whole: SnapshotVerdict,
  revision: bigint,
  options: SnapshotAtOptions,
): Promise<SnapshotVerdict> {
  const { signal, onProgress } = options;
  const expected = whole.hashKVAt({ revision, compactRevision: compactAt });
  const anew = `${path}.compacted`;
  onProgress?.({ step: 'compacting', done: 0, total: whole.totalSize });
  try {
    await writeCompacted(path, anew, compactAt, whole.survivors(compactAt), signal);
    await rename(anew, path);
  } catch (error) {
    await rm(anew, { force: true });
    throw diskError(error, `writing ${anew}`);
  }
  const verdict = await verifyMerged(path, revision, options);
  if (verdict.hashKV === expected) return verdict;
  throw unsound(path, `compacted at ${compactAt} it has HashKV ${verdict.hashKV}, not ${expected}`);
}

async function appendTrailer(path: string, { trailer, sha256, totalSize }: SnapshotVerdict): Promise<void> {
  if (trailer === 'ok') return;
  try {
    const file = await open(path, 'r+');
    try {
      await writeFully(file, Buffer.from(sha256, 'hex'), totalSize);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(error, `writing ${path}`);
  }
}

function unsound(path: string, what: string): GuardianError {
  return new GuardianError('merge.unsound', `the merged file ${path} is not sound: ${what}`, {
    hint: 'Try again, on another disk. If it says the same, base and changes do not fit together: choose another restore point.',
  });
}
