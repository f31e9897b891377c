import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type FileHandle, lstat, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { findMetas, META_SEARCH_SIZE, type Meta, metaFault, writeMetaPage } from '../../etcd/bolt/meta.ts';
import { writeFully } from '../../etcd/bolt/page-output.ts';
import { readWalTail, type WalTail } from '../../etcd/datadir/wal-tail.ts';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import type { SnapshotVerdict } from '../../etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../../etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError } from '../../guardian-error.ts';
import { ENCRYPTED_VALUES } from '../../keyspace/keys-needed.ts';
import { holdDatabase } from './hold-database.ts';
import { readability, type Readability } from './unreadable-ranges.ts';

/** The files of a member that no etcd runs on. */
export interface DeadMember {
  readonly dataDir: string;
  /** Where the log is, if not in the data dir. */
  readonly walDir?: string | undefined;
}

export interface RescueTools {
  readonly onProgress: (what: 'copying' | 'verifying', done: number, total: number) => void;
  readonly signal: AbortSignal;
}

export interface Rescued {
  readonly file: string;
  readonly verdict: SnapshotVerdict;
  /** What is newer, and only in the log; undefined where the log couldn't be read. */
  readonly behind: WalTail | undefined;
  /** What a person has to know of it. */
  readonly warnings: readonly string[];
}

/** No root of the database leads to sound data. */
export class DamagedDatabaseError extends GuardianError {
  readonly readability: Readability;

  constructor(path: string, why: string, found: Readability) {
    super('rescue.damaged', `${path} is damaged, and no snapshot was made of it: ${why}`, {
      hint: 'Rescue another member of this cluster, or restore from the store. What of this one can be read is told above; etcd itself would not start on it either, or serve wrong data.',
    });
    this.readability = found;
  }
}

/**
 * Makes a snapshot file, as any etcdutl restores it, from the data dir of a member that is dead, which is only read. Of
 * bbolt's two roots the newest valid one counts; where what it leads to is damaged, the one before it, whose pages are
 * not reused yet, is tried. The file appears when it has been read back and found sound; nothing is overwritten.
 *
 * What etcd had in its log and not yet in the database is not in the file: `behind` tells how much that is. Rejects with
 * `rescue.no-database`, `rescue.in-use`, `rescue.exists`, `rescue.no-room`, `DamagedDatabaseError`, those of
 * `openBoltFile` where nothing at all can be made of it, and the disk's errors.
 */
export async function rescueSnapshot(member: DeadMember, out: string, tools: RescueTools): Promise<Rescued> {
  const path = databaseOf(member);
  await requireNew(out);
  const file = await openDatabase(path);
  try {
    await using held = await holdDatabase(path);
    const roots = await readRoots(path, file);
    await requireRoom(out, roots[0]);
    const warnings = held.locked
      ? []
      : [
          'the database could not be locked (no flock here): make sure that nothing starts etcd while it is read',
        ];
    const { verdict, root } = await firstSound(path, file, roots, out, tools);
    if (root > 0) {
      warnings.push(
        'the newest root of the database leads to damaged pages: this is the state of the transaction before it, which was a moment earlier',
      );
    }
    const behind = await tailOf(member, verdict, warnings);
    return { file: out, verdict, behind, warnings };
  } finally {
    await file.close();
  }
}

export function databaseOf({ dataDir }: DeadMember): string {
  return join(resolve(dataDir), 'member', 'snap', 'db');
}

export function walOf({ dataDir, walDir }: DeadMember): string {
  return walDir === undefined || walDir === '' ? join(resolve(dataDir), 'member', 'wal') : resolve(walDir);
}

async function requireNew(out: string): Promise<void> {
  const there = await lstat(out).then(
    () => true,
    () => false,
  );
  if (!there) return;
  throw new GuardianError('rescue.exists', `${out} is there already`, {
    hint: 'Nothing is overwritten: name another file.',
  });
}

async function openDatabase(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      throw diskError(error, `opening ${path}`);
    throw new GuardianError('rescue.no-database', `there is no ${path}`, {
      hint: 'Name the folder that etcd\'s --data-dir names (that has "member" in it); etcd\'s manifest or unit tells it.',
      cause: error,
    });
  }
}

/** The valid roots, the newest first. */
async function readRoots(path: string, file: FileHandle): Promise<Meta[]> {
  const head = Buffer.alloc(META_SEARCH_SIZE);
  const { bytesRead } = await file.read(head, 0, head.length, 0).catch((error: unknown) => {
    throw diskError(error, `reading ${path}`);
  });
  const found = findMetas(head.subarray(0, bytesRead));
  const metas = found === undefined || found === 'big-endian' ? [] : found.metas;
  const roots = metas
    .flatMap((meta) => (meta === undefined || metaFault(meta) !== undefined ? [] : [meta]))
    .sort((a, b) => (a.txid > b.txid ? -1 : 1));
  if (roots.length > 0) return roots;
  throw new GuardianError(
    'rescue.damaged',
    found === 'big-endian'
      ? `${path} was written on a big-endian machine (s390x)`
      : `${path} has no root: both of its meta pages are damaged, or it is no database`,
    { hint: 'Rescue another member of this cluster, or restore from the store.' },
  );
}

async function requireRoom(out: string, root: Meta | undefined): Promise<void> {
  if (root === undefined) return;
  const folder = dirname(resolve(out));
  const { bavail, bsize } = await statfs(folder).catch((error: unknown) => {
    throw diskError(error, `writing into ${folder}`);
  });
  const needed = root.pageCount * root.pageSize;
  if (bavail * bsize > needed) return;
  throw new GuardianError(
    'rescue.no-room',
    `the snapshot needs ${needed} bytes, and the disk of ${folder} has ${bavail * bsize} free`,
    { hint: 'Write it to another disk, also one over the network: --out FILE.' },
  );
}

async function firstSound(
  path: string,
  file: FileHandle,
  roots: readonly Meta[],
  out: string,
  tools: RescueTools,
): Promise<{ readonly verdict: SnapshotVerdict; readonly root: number }> {
  const part = `${out}.part`;
  const reasons: string[] = [];
  try {
    for (const [root, meta] of roots.entries()) {
      const cut = await copy(path, file, meta, part, tools);
      if (cut !== undefined) {
        reasons.push(cut);
        continue;
      }
      const verdict = await verifySnapshotFile(part, {
        ...{ trailer: 'required', valuePrefixes: ENCRYPTED_VALUES, signal: tools.signal },
        onProgress: (done, total) => {
          tools.onProgress('verifying', done, total);
        },
      });
      if (verdict.sound) {
        await rename(part, out);
        await syncFolder(dirname(resolve(out)));
        return { verdict, root };
      }
      reasons.push(verdict.problems[0]?.message ?? 'unsound');
    }
  } finally {
    await rm(part, { force: true });
  }
  const [newest] = roots;
  if (newest === undefined) throw new Error('unreachable: there is a root');
  throw new DamagedDatabaseError(path, reasons[0] ?? '', await readability(path, file, newest, tools.signal));
}

const PIECE = 4 << 20;

/** What its root leads to, both metas saying so, and the trailer. Resolves to why that can't be. */
async function copy(
  path: string,
  file: FileHandle,
  meta: Meta,
  part: string,
  { onProgress, signal }: RescueTools,
): Promise<string | undefined> {
  const total = meta.pageCount * meta.pageSize;
  const { size } = await file.stat();
  if (size < total) return `it has ${size} bytes, and its root counts ${total}`;
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(Math.max(PIECE, 2 * meta.pageSize));
  try {
    const target = await open(part, 'w', 0o600);
    try {
      for (let at = 0; at < total;) {
        signal.throwIfAborted();
        const { bytesRead } = await readPiece(path, file, piece, Math.min(piece.length, total - at), at);
        const bytes = piece.subarray(0, bytesRead);
        if (at === 0) writeRoots(bytes, meta);
        hash.update(bytes);
        await writeFully(target, bytes, at);
        at += bytesRead;
        onProgress('copying', at, total);
      }
      await writeFully(target, hash.digest(), total);
      await target.sync();
    } finally {
      await target.close();
    }
  } catch (error) {
    if (error instanceof UnreadableSector) return error.message;
    throw diskError(error, `writing ${part}`);
  }
  return undefined;
}

/** As a transaction of bbolt writes itself out: the other meta is one behind. */
function writeRoots(bytes: Buffer, meta: Meta): void {
  bytes.fill(0, 0, 2 * meta.pageSize);
  writeMetaPage(bytes, 0, 0, meta);
  writeMetaPage(bytes, meta.pageSize, 1, { ...meta, txid: meta.txid - 1n });
}

/** The disk doesn't give it back. */
class UnreadableSector extends Error {}

async function readPiece(
  path: string,
  file: FileHandle,
  piece: Buffer,
  length: number,
  at: number,
): Promise<{ readonly bytesRead: number }> {
  try {
    const read = await file.read(piece, 0, length, at);
    if (read.bytesRead > 0) return read;
    throw new UnreadableSector(`${path} ends at byte ${at}`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EIO')
      throw new UnreadableSector(`the disk can't read ${path} at byte ${at}`);
    throw error;
  }
}

async function tailOf(
  member: DeadMember,
  // Without one nothing of the log is in it.
  { consistentIndex = 0n }: SnapshotVerdict,
  warnings: string[],
): Promise<WalTail | undefined> {
  const wal = walOf(member);
  const there = await stat(wal).then(
    () => true,
    () => false,
  );
  if (!there) {
    warnings.push(
      `whether the log has anything newer is not known: there is no ${wal}; a log elsewhere is named with --wal-dir`,
    );
    return undefined;
  }
  try {
    return await readWalTail(wal, consistentIndex);
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    warnings.push(`whether the log has anything newer is not known: ${error.message}`);
    return undefined;
  }
}
