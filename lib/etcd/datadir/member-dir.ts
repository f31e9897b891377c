import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { chmod, copyFile, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GuardianError } from '../../guardian-error.ts';
import { writeFully } from '../bolt/page-output.ts';
import { openChecked } from '../bolt/reader.ts';
import { diskError } from '../durable-file.ts';
import { adoptDatabase, type MemberDatabaseOptions } from './member-database.ts';
import {
  type ClusterIdentity,
  identifyCluster,
  type InitialCluster,
  type MemberIdentity,
} from './member-identity.ts';
import { encodeSnapFile, snapFileName } from './snap-file.ts';
import { stageMemberDir } from './staged-member-dir.ts';
import { encodeWal, WAL_FILE_NAME, WAL_FILE_SIZE } from './wal.ts';

/** Where the database comes from. Whether it is sound is for the caller to know; a trailer is not looked at. */
export type DatabaseSource =
  /** A snapshot file or a member's db, copied (or cloned, where the filesystem can). */
  | { readonly file: string }
  /** The bytes of such a file. */
  | { readonly bytes: AsyncIterable<Uint8Array> }
  /** Writes the database to this path, where nothing is yet. */
  | { readonly write: (path: string, signal: AbortSignal | undefined) => Promise<unknown> };

export interface MemberDirOptions extends MemberDatabaseOptions {
  /** As etcd's `--data-dir`. */
  readonly dataDir: string;
  /** As etcd's `--wal-dir`; left out: below the data dir. */
  readonly walDir?: string | undefined;
  readonly snapshot: DatabaseSource;
  /** Which of the cluster's members this dir is for. */
  readonly name: string;
  readonly cluster: InitialCluster;
  /** What its log asks of the store behind the snapshot; see `encodeWal`. */
  readonly requests?: readonly (Buffer | undefined)[] | undefined;
  /** Bytes of the database copied so far, and all of them where that is known. */
  readonly onProgress?: ((done: number, total: number | undefined) => void) | undefined;
}

export interface WrittenMemberDir {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** The current revision of the store: the next write gets the one after it. */
  readonly revision: bigint;
}

/**
 * Makes the data dir of a new member from a snapshot, without etcdutl; etcd 3.4 to 3.7 start from it. All members of a
 * cluster are to be made from the same snapshot, cluster and `bumpTo`, each under its own name.
 *
 * The data dir may exist but holds nothing; `<dataDir>/member` appears there by a rename at the very end, when
 * everything is on disk. A failure leaves nothing behind, and a crash nothing that a second attempt wouldn't clear
 * away. Rejects with `restore.data-dir-exists`, `restore.wal-dir-exists`, `restore.initial-cluster`,
 * `restore.bump-too-low`, those of `openBoltFile`, and errors of the disk.
 */
export async function writeMemberDir(options: MemberDirOptions): Promise<WrittenMemberDir> {
  const cluster = identifyCluster(options.cluster);
  const member = memberNamed(cluster, options.name);

  const staged = await stageMemberDir(options.dataDir, options.walDir);
  try {
    // 1. The database, as this cluster's members begin with it.
    const db = join(staged.snapDir, 'db');
    await copyDatabase(options.snapshot, db, options);
    await chmod(db, 0o600);
    const revision = await adoptDatabase(db, cluster, options);
    // 2. The log, and the raft snapshot at its end.
    await writeDurably(join(staged.snapDir, snapFileName(cluster)), encodeSnapFile(cluster), 0o644);
    const wal = encodeWal(cluster, member, options.requests);
    const walSize = Math.max(WAL_FILE_SIZE, wal.length);
    await writeDurably(join(staged.walDir, WAL_FILE_NAME), wal, 0o600, walSize);
    // 3. It is a data dir from here on.
    options.signal?.throwIfAborted();
    await staged.publish();
    return { memberId: member.id, clusterId: cluster.clusterId, revision };
  } catch (error) {
    await staged.discard();
    throw diskError(error, `writing the data dir ${options.dataDir}`);
  }
}

function memberNamed(cluster: ClusterIdentity, name: string): MemberIdentity {
  const member = cluster.members.find((each) => each.name === name);
  if (member !== undefined) return member;
  const names = cluster.members.map((each) => each.name).join(', ');
  throw new GuardianError('restore.initial-cluster', `${name} is not a member of the cluster (${names})`, {
    hint: 'Give the name of one of the members of the initial cluster.',
  });
}

async function copyDatabase(
  source: DatabaseSource,
  target: string,
  { signal, onProgress = () => undefined }: MemberDirOptions,
): Promise<void> {
  if ('write' in source) await source.write(target, signal);
  else if ('bytes' in source) await writeStream(source.bytes, undefined, target, signal, onProgress);
  else if (!(await clone(source.file, target))) {
    const { file, meta } = await openChecked(source.file, 'r');
    const total = meta.pageCount * meta.pageSize;
    const stream = file.createReadStream({ start: 0, end: total - 1, highWaterMark: 2 ** 20 });
    await writeStream(stream, total, target, signal, onProgress);
  }
}

/** In no time, where source and target share a filesystem that can; false where they don't. */
async function clone(source: string, target: string): Promise<boolean> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    await rm(target, { force: true });
    return false;
  }
}

async function writeStream(
  bytes: AsyncIterable<Uint8Array>,
  total: number | undefined,
  target: string,
  signal: AbortSignal | undefined,
  onProgress: (done: number, total: number | undefined) => void,
): Promise<void> {
  const file = await open(target, 'wx', 0o600);
  try {
    let done = 0;
    for await (const chunk of bytes) {
      signal?.throwIfAborted();
      await writeFully(file, Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), done);
      done += chunk.length;
      onProgress(done, total);
    }
  } finally {
    await file.close();
  }
}

/** `size`: zeros follow up to there, without taking room. */
async function writeDurably(path: string, bytes: Buffer, mode: number, size = bytes.length): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await writeFully(file, bytes, 0);
    await file.truncate(size);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}
