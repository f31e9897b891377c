import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { constants, copyFile, open, rename } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type BucketEdit, editBoltFile } from '../../etcd/bolt/editor.ts';
import { openBoltFile } from '../../etcd/bolt/reader.ts';
import { batchOfBucket, readSmallBucket } from '../../etcd/bolt/small-bucket.ts';
import { writeMemberDir } from '../../etcd/datadir/member-dir.ts';
import { judgeVersions } from '../../etcd/datadir/version-rules.ts';
import type { WalTail } from '../../etcd/datadir/wal-tail.ts';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import type { SnapshotVerdict } from '../../etcd/mvcc/snapshot-verdict.ts';
import { readStoreRevisions } from '../../etcd/mvcc/store-revisions.ts';
import { GuardianError } from '../../guardian-error.ts';
import { drillFolder, removeLeftovers } from '../drill/drill-folder.ts';
import { versionOf } from '../drill/drill-program.ts';
import { applyLog, LOG_CLUSTER } from './apply-log.ts';
import {
  databaseOf,
  type DeadMember,
  requireNew,
  requireRoom,
  type Rescued,
  rescueSnapshot,
} from './rescue-snapshot.ts';
import { type CopyTools, firstSound, readRoots } from './sound-copy.ts';

export interface LogOptions {
  /** The etcd program, of the member's own version; a path, or a name that is looked for on the PATH. */
  readonly etcd: string;
  /** Where the copy lies meanwhile, as large as the database; left out: beside the snapshot. */
  readonly workDir?: string | undefined;
  /** How long etcd may take without getting any further. */
  readonly startTimeoutMs: number;
}

/** What its progress is called; counted in entries of the log, all else in bytes. */
export const APPLYING = 'applying the log';

export interface LogTools extends Omit<CopyTools, 'onProgress'> {
  readonly onProgress: (what: 'copying' | 'verifying' | typeof APPLYING, done: number, total: number) => void;
  readonly now: Date;
}

export interface RescuedWithLog extends Rescued {
  readonly applied: {
    /** All of `behind`; 0 where the database had everything. */
    readonly entries: number;
    /** How many revisions they made. */
    readonly revisions: bigint;
    /** Of the program that applied them. */
    readonly etcdVersion: string;
  };
}

/**
 * As `rescueSnapshot`, and what the member had in its log alone is in the file, too: the database is copied into the
 * data dir of a member that never was, the entries of the log behind it, all as committed, and etcd itself applies them.
 * So the snapshot is what this member would serve were it elected: everything that was ever answered as far as it
 * reached this member, and possibly the last writes whose clients were not answered any more. Members, leases and
 * versions are those of the database; no lease ends meanwhile, and no entry of anybody else comes in.
 *
 * Rejects as `rescueSnapshot` does, also with `rescue.log` where the log can't be read from the database on,
 * `rescue.etcd-version`, `rescue.work-dir`, `drill.no-program`, and `rescue.replay`.
 */
export async function rescueWithLog(
  member: DeadMember,
  out: string,
  options: LogOptions,
  tools: LogTools,
): Promise<RescuedWithLog> {
  await requireNew(out);
  const etcdVersion = await versionOf('etcd', options.etcd, tools.signal);
  const workDir = options.workDir ?? dirname(resolve(out));
  await removeLeftovers(workDir, tools.now);
  await using folder = await drillFolder(workDir);
  const base = join(folder.path, 'base.db');
  // 1. What the database has, and what the log asks behind it.
  const rescued = await rescueSnapshot(member, base, tools, { wantRequests: true });
  const { behind, requests, verdict } = rescued;
  if (behind === undefined || requests === undefined || behind.broken !== undefined)
    throw unreadableLog(rescued.warnings, behind);
  requireVersion(verdict, etcdVersion);
  if (behind.entries === 0) {
    await moveTo(base, out);
    return { ...rescued, file: out, applied: { entries: 0, revisions: 0n, etcdVersion } };
  }
  // 2. etcd applies it.
  const logged = requests.reduce((sum, request) => sum + (request?.length ?? 0), 0);
  await requireRoom(out, verdict.totalSize + GROWTH * logged + LEAST_ROOM);
  const own = await ownBuckets(base);
  const dataDir = join(folder.path, 'data');
  await writeMemberDir({
    ...{ dataDir, name: LOG_CLUSTER.members[0].name, requests, signal: tools.signal },
    cluster: { ...LOG_CLUSTER, token: randomUUID() },
    snapshot: { write: (path) => rename(base, path) },
    // They decide what becomes of the writes behind them.
    clearAlarms: false,
  });
  const all = LOG_CLUSTER.members.length + behind.entries;
  await applyLog(
    {
      ...{ program: options.etcd, version: etcdVersion, dataDir, upTo: all },
      ...{ databaseBytes: verdict.totalSize, timeoutMs: options.startTimeoutMs, signal: tools.signal },
      onProgress: (index) => {
        tools.onProgress(APPLYING, index, all);
      },
    },
    folder,
  );
  // 3. The database that came of it, as the member would have it.
  const db = databaseOf({ dataDir });
  await requireSense(db, verdict, behind);
  await giveBack(db, own, behind.lastIndex, tools.signal);
  const file = await open(db, 'r');
  try {
    const [root] = await readRoots(db, file);
    const result = await firstSound(db, file, root === undefined ? [] : [root], out, tools);
    const revisions = result.verdict.currentRevision - verdict.currentRevision;
    const applied = { entries: behind.entries, revisions, etcdVersion };
    return { ...rescued, file: out, verdict: result.verdict, applied };
  } finally {
    await file.close();
  }
}

/** What a byte of the log may need in the database until it is compacted: pages are copied as a whole. */
const GROWTH = 8;
const LEAST_ROOM = 64 * 2 ** 20;

/** What the member's database says of the member, its cluster and its log. */
type OwnBuckets = ReadonlyMap<string, ReadonlyMap<string, Buffer>>;

async function ownBuckets(path: string): Promise<OwnBuckets> {
  await using file = await openBoltFile(path);
  const found = new Map<string, ReadonlyMap<string, Buffer>>();
  for (const name of ['members', 'members_removed', 'meta'])
    found.set(name, await readSmallBucket(file, name));
  return found;
}

async function giveBack(db: string, own: OwnBuckets, lastIndex: bigint, signal: AbortSignal): Promise<void> {
  const edits = new Map<string, BucketEdit>();
  for (const [name, entries] of own) edits.set(name, { replace: [batchOfBucket(entries)] });
  // What etcd wrote there of compactions stays.
  const meta = new Map((await ownBuckets(db)).get('meta'));
  for (const field of ['term', 'confState']) {
    const value = own.get('meta')?.get(field);
    if (value === undefined) meta.delete(field);
    else meta.set(field, value);
  }
  const index = Buffer.alloc(8);
  index.writeBigUInt64BE(lastIndex);
  edits.set('meta', { replace: [batchOfBucket(meta.set('consistent_index', index))] });
  await editBoltFile(db, edits, signal);
}

async function requireSense(db: string, before: SnapshotVerdict, { writes }: WalTail): Promise<void> {
  await using file = await openBoltFile(db);
  const { currentRevision } = await readStoreRevisions(file);
  const most = before.currentRevision + BigInt(writes);
  if (currentRevision >= before.currentRevision && currentRevision <= most) return;
  throw new GuardianError(
    'rescue.replay',
    `etcd made revision ${currentRevision} of a database at ${before.currentRevision} and a log with ${writes} writes`,
    {
      hint: 'The log is of another database, or one of the two is damaged. Without --etcd, a snapshot is made of the database alone.',
    },
  );
}

function requireVersion({ storageVersion, clusterVersion }: SnapshotVerdict, etcdVersion: string): void {
  const { verdict, reason, edits } = judgeVersions({ storageVersion, clusterVersion }, etcdVersion);
  if (verdict !== 'refuse' && edits.clusterVersion === undefined) return;
  throw new GuardianError('rescue.etcd-version', `--etcd is etcd ${etcdVersion}. ${reason}`, {
    hint: `Name an etcd of the member's own version, ${clusterVersion ?? storageVersion ?? 'as its image has it'}.`,
  });
}

function unreadableLog(warnings: readonly string[], behind: WalTail | undefined): GuardianError {
  const why = behind?.broken ?? warnings.at(-1) ?? 'it is not there';
  return new GuardianError('rescue.log', `the log can't be brought in: ${why}`, {
    hint: 'Without --etcd, a snapshot is made of the database alone.',
  });
}

/** Also to another disk, where it appears complete. */
async function moveTo(from: string, to: string): Promise<void> {
  const part = `${to}.part`;
  try {
    await rename(from, to).catch(async (error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error;
      await copyFile(from, part, constants.COPYFILE_FICLONE);
      const copy = await open(part, 'r');
      await copy.sync().finally(() => copy.close());
      await rename(part, to);
    });
    await syncFolder(dirname(resolve(to)));
  } catch (error) {
    throw diskError(error, `writing ${to}`);
  }
}
