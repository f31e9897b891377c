import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { findMetas, META_SEARCH_SIZE, type Meta, metaFault, writeMetaPage } from '../../etcd/bolt/meta.ts';
import { writeFully } from '../../etcd/bolt/page-output.ts';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import type { SnapshotVerdict } from '../../etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../../etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError } from '../../guardian-error.ts';
import { ENCRYPTED_VALUES } from '../../keyspace/keys-needed.ts';
import { readability, type Readability } from './unreadable-ranges.ts';

export interface CopyTools {
  readonly onProgress: (what: 'copying' | 'verifying', done: number, total: number) => void;
  readonly signal: AbortSignal;
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
 * Writes the database that the first of its `roots` leads to which is sound into `out`, with a trailer; it appears when
 * it has been read back. `root` counts the roots passed over. Rejects with `DamagedDatabaseError` and the disk's errors.
 */
export async function firstSound(
  path: string,
  file: FileHandle,
  roots: readonly Meta[],
  out: string,
  tools: CopyTools,
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
  { onProgress, signal }: CopyTools,
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

/** The valid roots, the newest first. */
export async function readRoots(path: string, file: FileHandle): Promise<Meta[]> {
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
