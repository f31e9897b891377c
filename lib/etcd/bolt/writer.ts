import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GuardianError } from '../../guardian-error.ts';
import { diskError, syncFolder } from '../durable-file.ts';
import { batchOf, type EntryBatch } from './entry-batch.ts';
import { isPageSize, type Meta, writeMetaPage } from './meta.ts';
import { PageOutput, writeFully } from './page-output.ts';
import { BUCKET_ELEMENT, BUCKET_HEADER_SIZE, FIRST_DATA_PAGE, writeU64 } from './page.ts';
import { TreeBuilder, type TreeRoot } from './tree-builder.ts';

/** One bucket of a file to be written. */
export interface BucketSource {
  readonly name: string;
  /** In ascending order of keys, over all batches. */
  readonly entries: Iterable<EntryBatch> | AsyncIterable<EntryBatch>;
}

export interface WriteBoltFileOptions {
  /** A power of two, 1024 to 65536. Default 4096: what etcd uses on nearly every host. */
  readonly pageSize?: number;
  /** Ends the file with the sha256 of its database, as a snapshot of etcd does. Default true. */
  readonly trailer?: boolean;
  /** Default 2. */
  readonly txid?: bigint;
  readonly signal?: AbortSignal | undefined;
}

export interface WrittenBoltFile {
  /** Bytes of the file, trailer included. */
  readonly size: number;
  readonly pageSize: number;
  readonly pageCount: number;
  /** Entries of all buckets. */
  readonly entries: number;
  /** Hex, of the database without trailer; undefined where no trailer was wanted. */
  readonly sha256: string | undefined;
}

/**
 * Writes a bbolt file that any etcd takes for its own: every bucket's tree from its leaves upward, then the tree of
 * buckets, then both metas; no freelist, as etcd on Linux. Buckets must come in ascending order of names (bytewise).
 * Memory is a few megabytes, whatever the size.
 *
 * The file (mode 0600) appears at `path`, replacing what was there, only once it is whole and synced; until then it
 * grows beside it as `<path>.part`. Rejects with `bolt.order`, `bolt.key-size`, `bolt.value-size`, or an error of the
 * disk (see `diskError`), with whatever `buckets` throws, or the signal's reason; nothing is left then.
 */
export async function writeBoltFile(
  path: string,
  buckets: Iterable<BucketSource> | AsyncIterable<BucketSource>,
  options: WriteBoltFileOptions = {},
): Promise<WrittenBoltFile> {
  const { pageSize = 4096 } = options;
  if (!isPageSize(pageSize))
    throw new GuardianError('bolt.page-size', `${pageSize} is no page size of a bolt file`);
  const part = `${path}.part`;
  try {
    const file = await open(part, 'w+', 0o600);
    try {
      const written = await writeInto(file, buckets, pageSize, options);
      await file.sync();
      await file.close();
      await rename(part, path);
      await syncFolder(dirname(path));
      return written;
    } catch (error) {
      await file.close();
      await rm(part, { force: true });
      throw error;
    }
  } catch (error) {
    throw diskError(error, `writing ${path}`);
  }
}

async function writeInto(
  file: FileHandle,
  buckets: Iterable<BucketSource> | AsyncIterable<BucketSource>,
  pageSize: number,
  { trailer = true, txid = 2n, signal }: WriteBoltFileOptions,
): Promise<WrittenBoltFile> {
  const output = new PageOutput(file, pageSize, FIRST_DATA_PAGE);
  try {
    const { rootPage, entries } = await writeBuckets(output, buckets, signal);
    await output.finish();
    const meta = { pageSize, rootPage, freelistPage: undefined, pageCount: output.nextPage, txid };
    await writeFully(file, metaPages(meta), 0);
    let size = meta.pageCount * pageSize;
    let sha256: Buffer | undefined;
    if (trailer) {
      sha256 = await hashFile(file, size, signal);
      await writeFully(file, sha256, size);
      size += sha256.length;
    }
    return { size, pageSize, pageCount: meta.pageCount, entries, sha256: sha256?.toString('hex') };
  } finally {
    await output.settle();
  }
}

async function writeBuckets(
  output: PageOutput,
  buckets: Iterable<BucketSource> | AsyncIterable<BucketSource>,
  signal: AbortSignal | undefined,
): Promise<{ rootPage: number; entries: number }> {
  const tree = new TreeBuilder(output, {
    bucket: '(root)',
    elementFlags: BUCKET_ELEMENT,
    mayBeInline: false,
  });
  let entries = 0;
  for await (const { name, entries: batches } of buckets) {
    const bucket = new TreeBuilder(output, { bucket: name, elementFlags: 0, mayBeInline: true });
    for await (const batch of batches) {
      signal?.throwIfAborted();
      bucket.add(batch);
      await output.drain();
    }
    tree.add(batchOf([[Buffer.from(name), bucketValue(bucket.finish())]]));
    entries += bucket.entries;
  }
  const root = tree.finish();
  if (!('page' in root)) throw new Error('unreachable: the tree of buckets is never inline');
  return { rootPage: root.page, entries };
}

/** What the tree of buckets holds for one of them. */
export function bucketValue(root: TreeRoot): Buffer {
  const header = Buffer.alloc(BUCKET_HEADER_SIZE);
  if ('inline' in root) return Buffer.concat([header, root.inline]);
  writeU64(header, 0, root.page);
  return header;
}

/** Pages 0 and 1: the meta, and the same as if of the transaction before, as in the snapshots that etcd streams. */
export function metaPages(meta: Meta): Buffer {
  const pages = Buffer.alloc(2 * meta.pageSize);
  writeMetaPage(pages, 0, 0, meta);
  writeMetaPage(pages, meta.pageSize, 1, { ...meta, txid: meta.txid - 1n });
  return pages;
}

/** The metas, which come first, are known last: so the file is read again, mostly out of the page cache. */
async function hashFile(file: FileHandle, size: number, signal: AbortSignal | undefined): Promise<Buffer> {
  const hash = createHash('sha256');
  const buffers = [Buffer.allocUnsafeSlow(2 ** 20), Buffer.allocUnsafeSlow(2 ** 20)] as const;
  const read = (at: number): Promise<Buffer> =>
    readSome(file, buffers[(at / 2 ** 20) % 2 === 0 ? 0 : 1], at, size);
  let next = read(0);
  for (let at = 0; at < size; at += 2 ** 20) {
    const bytes = await next;
    signal?.throwIfAborted();
    if (at + 2 ** 20 < size) next = read(at + 2 ** 20);
    hash.update(bytes);
  }
  return hash.digest();
}

async function readSome(file: FileHandle, buffer: Buffer, at: number, size: number): Promise<Buffer> {
  const length = Math.min(buffer.length, size - at);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, at + done);
    if (bytesRead === 0)
      throw new GuardianError('disk.failed', `the file ends at byte ${at + done} of ${size}`);
    done += bytesRead;
  }
  return buffer.subarray(0, length);
}
