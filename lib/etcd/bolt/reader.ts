import { Buffer } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import { GuardianError } from '../../guardian-error.ts';
import { diskError } from '../durable-file.ts';
import { childIds, childIndex } from './branch-page.ts';
import { type EntryBatch, keyOf, sliceOf, valueOf } from './entry-batch.ts';
import { leafEntries } from './leaf-page.ts';
import { chooseMeta, findMetas, META_SEARCH_SIZE, type Meta, metaFault } from './meta.ts';
import { type LoadedPage, PageReader } from './page-reader.ts';
import {
  BUCKET_ELEMENT,
  BUCKET_HEADER_SIZE,
  compareBytes,
  leafFault,
  readPageHeader,
  readU64,
} from './page.ts';
import { readAhead } from './read-ahead.ts';

export interface EntriesOptions {
  /** The first key wanted; left out: the bucket's first. */
  readonly from?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A bbolt file, read page by page: a snapshot with or without trailer, or a member's `db` while no etcd has it open.
 * Memory is a few megabytes, whatever the size of the file. Nothing is believed: whatever doesn't hold rejects with
 * `bolt.corrupt`, naming page and offset. The sha256 trailer is not looked at.
 */
export interface BoltFile extends AsyncDisposable {
  readonly path: string;
  readonly meta: Meta;
  /** In bytewise order. */
  readonly bucketNames: readonly string[];
  /** All entries of a bucket, from a key on, in order. A bucket that isn't there has none. */
  entries(bucket: string, options?: EntriesOptions): AsyncGenerator<EntryBatch, void>;
  /** A copy of the value; undefined when bucket or key isn't there. */
  get(bucket: string, key: Buffer): Promise<Buffer | undefined>;
  /** The bucket's last key; undefined when it has none. */
  lastKey(bucket: string): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/** A bucket as the tree of buckets has it. */
export interface BucketRoot {
  /** The element's whole value. */
  readonly value: Buffer;
  /** Where its entries are: under a page, or, few as they are, in the value itself. */
  readonly entries: { readonly page: number } | { readonly inline: EntryBatch };
}

/**
 * Opens a file to read it. Rejects with `bolt.not-a-database`, `bolt.big-endian`, `bolt.truncated`, `bolt.corrupt` or
 * an error of the disk.
 */
export async function openBoltFile(path: string): Promise<BoltFile> {
  const { file, meta } = await openChecked(path, 'r');
  try {
    const reader = new PageReader(path, file, meta.pageSize, meta.pageCount);
    return new OpenBoltFile(file, meta, reader, await readBuckets(reader, meta));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a file and finds its meta, and on which page. Rejects as `openBoltFile` does; the caller closes the file. */
export async function openChecked(
  path: string,
  flags: 'r' | 'r+',
): Promise<{ file: FileHandle; meta: Meta; metaPage: 0 | 1 }> {
  try {
    const file = await open(path, flags);
    try {
      return { file, ...(await checkedMeta(path, file)) };
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    throw diskError(error, `opening ${path}`);
  }
}

/** The roots of all buckets by name, in order. */
export async function readBuckets(reader: PageReader, meta: Meta): Promise<Map<string, BucketRoot>> {
  const buckets = new Map<string, BucketRoot>();
  for await (const batch of readAhead(reader, meta.rootPage, BUCKET_ELEMENT, Buffer.alloc(0))) {
    for (let index = 0; index < batch.count; index++) {
      const name = keyOf(batch, index).toString();
      const root = parseBucket(Buffer.from(valueOf(batch, index)));
      if (root === undefined) throw reader.corrupt(meta.rootPage, `bucket ${name} is malformed`);
      buckets.set(name, root);
    }
  }
  return buckets;
}

async function checkedMeta(path: string, file: FileHandle): Promise<{ meta: Meta; metaPage: 0 | 1 }> {
  const head = Buffer.alloc(META_SEARCH_SIZE);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  const found = findMetas(head.subarray(0, bytesRead));
  if (found === 'big-endian') {
    throw new GuardianError('bolt.big-endian', `${path} was written on a big-endian machine (s390x)`, {
      hint: 'Only files of little-endian machines can be read here.',
    });
  }
  const meta = found === undefined ? undefined : chooseMeta(found.metas);
  if (found === undefined || meta === undefined) {
    throw new GuardianError(
      'bolt.not-a-database',
      `${path} is not a bolt database: neither meta page is valid`,
      {
        hint: 'Give a snapshot of etcd, or the file member/snap/db of a data dir.',
      },
    );
  }
  const fault = metaFault(meta);
  if (fault !== undefined) throw new GuardianError('bolt.corrupt', `${path}: meta page: ${fault}`);
  const { size } = await file.stat();
  if (size < meta.pageCount * meta.pageSize) {
    throw new GuardianError(
      'bolt.truncated',
      `${path} has ${size} bytes; its database has ${meta.pageCount * meta.pageSize}`,
      { hint: 'The file was cut off: fetch it again, or use another snapshot.' },
    );
  }
  return { meta, metaPage: found.metas[0] === meta ? 0 : 1 };
}

/** Undefined when the value of a bucket element isn't a bucket. */
function parseBucket(value: Buffer): BucketRoot | undefined {
  if (value.length < BUCKET_HEADER_SIZE) return undefined;
  const page = readU64(value, 0);
  if (page !== 0) return { value, entries: { page } };
  const image = value.subarray(BUCKET_HEADER_SIZE);
  if (image.length < 16 || readPageHeader(image, 0).flags !== 2) return undefined;
  if (leafFault(image, 0, image.length) !== undefined) return undefined;
  const inline = leafEntries(image, 0);
  return inline.flags.some((flags) => flags !== 0) ? undefined : { value, entries: { inline } };
}

class OpenBoltFile implements BoltFile {
  readonly meta: Meta;
  readonly path: string;
  readonly bucketNames: readonly string[];

  private readonly file: FileHandle;
  private readonly reader: PageReader;
  private readonly buckets: ReadonlyMap<string, BucketRoot>;

  constructor(file: FileHandle, meta: Meta, reader: PageReader, buckets: ReadonlyMap<string, BucketRoot>) {
    this.file = file;
    this.meta = meta;
    this.path = reader.path;
    this.reader = reader;
    this.buckets = buckets;
    this.bucketNames = [...buckets.keys()];
  }

  async *entries(
    bucket: string,
    { from = Buffer.alloc(0), signal }: EntriesOptions = {},
  ): AsyncGenerator<EntryBatch, void> {
    const root = this.buckets.get(bucket)?.entries;
    if (root === undefined) return;
    if ('inline' in root) {
      const rest = sliceOf(root.inline, firstNotBelow(root.inline, from), root.inline.count);
      if (rest.count > 0) yield rest;
      return;
    }
    for await (const batch of readAhead(this.reader, root.page, 0, from)) {
      signal?.throwIfAborted();
      yield batch;
    }
  }

  async get(bucket: string, key: Buffer): Promise<Buffer | undefined> {
    const leaf = await this.leafOf(bucket, (branch) => childIndex(branch, key));
    if (leaf === undefined) return undefined;
    const index = firstNotBelow(leaf, key);
    if (index === leaf.count || !keyOf(leaf, index).equals(key)) return undefined;
    return Buffer.from(valueOf(leaf, index));
  }

  async lastKey(bucket: string): Promise<Buffer | undefined> {
    const leaf = await this.leafOf(bucket, (branch) => branch.bytes.readUInt16LE(branch.start + 10) - 1);
    return leaf === undefined || leaf.count === 0 ? undefined : Buffer.from(keyOf(leaf, leaf.count - 1));
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The leaf that one way down leads to. */
  private async leafOf(bucket: string, way: (branch: LoadedPage) => number): Promise<EntryBatch | undefined> {
    const root = this.buckets.get(bucket)?.entries;
    if (root === undefined) return undefined;
    if ('inline' in root) return root.inline;
    let id = root.page;
    for (let depth = 0; depth < 32; depth++) {
      const page = await this.reader.page(id);
      if (page.isLeaf) return leafEntries(page.bytes, page.start);
      id = childIds(page)[way(page)] ?? 0;
    }
    throw this.reader.corrupt(root.page, 'no leaf within 32 levels below it');
  }
}

function firstNotBelow(batch: EntryBatch, key: Buffer): number {
  let low = 0;
  let high = batch.count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const start = batch.keyStarts[middle] ?? 0;
    const end = start + (batch.keySizes[middle] ?? 0);
    if (compareBytes(batch.bytes, start, end, key, 0, key.length) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
