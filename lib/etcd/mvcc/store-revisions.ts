import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import type { BoltFile } from '../bolt/reader.ts';
import { decodeRevisionKey } from './revision.ts';

/** What revisions a file holds. */
export interface StoreRevisions {
  /** The revision that an etcd which starts from this file is at; 1 when nothing was ever written. */
  readonly currentRevision: bigint;
  /** Below it history is gone, or, where a compaction was under way, going; -1 when nothing was ever compacted. */
  readonly compactRevision: bigint;
  /** A compaction was accepted and not finished: entries below `compactRevision` may be there in part. */
  readonly compacting: boolean;
}

/** Reads it from bucket `meta` and the end of bucket `key`. Rejects with `mvcc.corrupt`. */
export async function readStoreRevisions(file: BoltFile): Promise<StoreRevisions> {
  const scheduled = await mark(file, 'scheduledCompactRev');
  const finished = await mark(file, 'finishedCompactRev');
  const last = await file.lastKey('key');
  const lastMain = last === undefined ? 0n : mainOf(file, 'key', last);
  const compactRevision = max(scheduled, finished);
  return {
    currentRevision: max(max(lastMain, compactRevision), 1n),
    compactRevision,
    compacting: scheduled > finished,
  };
}

async function mark(file: BoltFile, name: string): Promise<bigint> {
  const value = await file.get('meta', Buffer.from(name));
  return value === undefined ? -1n : mainOf(file, `meta/${name}`, value);
}

function mainOf(file: BoltFile, where: string, key: Buffer): bigint {
  const revision = decodeRevisionKey(key);
  if (revision !== undefined) return revision.main;
  throw new GuardianError(
    'mvcc.corrupt',
    `${file.path}: ${key.toString('hex', 0, 40)} in ${where} is not a revision`,
    {
      hint: 'Use another snapshot, or another member of the same cluster.',
    },
  );
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
