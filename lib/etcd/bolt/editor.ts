import { Buffer } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { diskError } from '../durable-file.ts';
import { BranchLevel, BranchNode } from './branch-level.ts';
import { childIds } from './branch-page.ts';
import { batchOf, type EntryBatch } from './entry-batch.ts';
import { leafEntries } from './leaf-page.ts';
import type { Meta } from './meta.ts';
import { PageOutput, writeFully } from './page-output.ts';
import { type LoadedPage, PageReader } from './page-reader.ts';
import { branchKeySize, branchKeyStart, BUCKET_ELEMENT, elementOffset } from './page.ts';
import { type BucketRoot, openChecked, readBuckets } from './reader.ts';
import { TreeBuilder, type TreeEdge } from './tree-builder.ts';
import { bucketValue, metaPages } from './writer.ts';

/** What becomes of one bucket. */
export type BucketEdit =
  /** It holds exactly these entries, made where it is missing. */
  | { readonly replace: Iterable<EntryBatch> | AsyncIterable<EntryBatch> }
  /** These come behind its last entry, above which they must be. */
  | { readonly append: Iterable<EntryBatch> | AsyncIterable<EntryBatch> };

/**
 * Changes a bbolt file in place as one transaction, and costs only what it writes: new pages are appended, the old ones
 * they stand for become free, and two metas make the change. A sha256 trailer, or room that etcd had allocated ahead,
 * is cut off; a stored freelist is given up, as etcd on Linux has none.
 *
 * Crash-safe: before the first meta is on disk the file is what it was (but for the trailer), after it is changed.
 * Rejects as `openBoltFile` and `writeBoltFile` do; the file is then to be thrown away.
 */
export async function editBoltFile(
  path: string,
  edits: ReadonlyMap<string, BucketEdit>,
  signal?: AbortSignal,
): Promise<Meta> {
  const { file, meta, metaPage } = await openChecked(path, 'r+');
  try {
    const reader = new PageReader(path, file, meta.pageSize, meta.pageCount);
    const changed = await appendChanges(file, meta, reader, edits, signal);
    await file.sync();
    await writeMetas(file, changed, metaPage);
    return changed;
  } catch (error) {
    throw diskError(error, `changing ${path}`);
  } finally {
    await file.close();
  }
}

async function appendChanges(
  file: FileHandle,
  meta: Meta,
  reader: PageReader,
  edits: ReadonlyMap<string, BucketEdit>,
  signal: AbortSignal | undefined,
): Promise<Meta> {
  const buckets = await readBuckets(reader, meta);
  await file.truncate(meta.pageCount * meta.pageSize);
  const output = new PageOutput(file, meta.pageSize, meta.pageCount);
  try {
    const tree = new TreeBuilder(output, {
      bucket: '(root)',
      elementFlags: BUCKET_ELEMENT,
      mayBeInline: false,
    });
    for (const name of inOrder(new Set([...buckets.keys(), ...edits.keys()]))) {
      const root = buckets.get(name);
      const wanted = edits.get(name);
      const value =
        wanted === undefined ? root?.value : await editBucket(output, reader, name, root, wanted, signal);
      if (value !== undefined) tree.add(batchOf([[Buffer.from(name), value]]));
    }
    const root = tree.finish();
    if (!('page' in root)) throw new Error('unreachable: the tree of buckets is never inline');
    await output.finish();
    return {
      pageSize: meta.pageSize,
      rootPage: root.page,
      freelistPage: undefined,
      pageCount: output.nextPage,
      // Both metas get the new root; the lower transaction of the two is still above the old one.
      txid: meta.txid + 2n,
    };
  } finally {
    await output.settle();
  }
}

async function editBucket(
  output: PageOutput,
  reader: PageReader,
  name: string,
  root: BucketRoot | undefined,
  wanted: BucketEdit,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const edge = 'append' in wanted && root !== undefined ? await rightEdge(reader, root) : undefined;
  const bucket = new TreeBuilder(output, { bucket: name, elementFlags: 0, mayBeInline: true }, edge);
  for await (const batch of 'append' in wanted ? wanted.append : wanted.replace) {
    signal?.throwIfAborted();
    bucket.add(batch);
    await output.drain();
  }
  return bucketValue(bucket.finish());
}

/** The way down to a bucket's last leaf. */
async function rightEdge(reader: PageReader, { entries }: BucketRoot): Promise<TreeEdge> {
  if ('inline' in entries) return { lastLeaf: entries.inline, branches: [] };
  const branches: BranchLevel[] = [];
  let page = await reader.page(entries.page);
  while (!page.isLeaf) {
    branches.unshift(new BranchLevel(reader.pageSize, withoutLastChild(page)));
    if (branches.length > 32) throw reader.corrupt(entries.page, 'no leaf within 32 levels below it');
    page = await reader.page(childIds(page).at(-1) ?? 0);
  }
  return { lastLeaf: leafEntries(page.bytes, page.start), branches };
}

function withoutLastChild(page: LoadedPage): BranchNode {
  const { bytes, start } = page;
  const node = new BranchNode();
  for (const [index, child] of childIds(page).slice(0, -1).entries()) {
    const element = elementOffset(start, index);
    const keyStart = branchKeyStart(bytes, element);
    node.add(bytes.subarray(keyStart, keyStart + branchKeySize(bytes, element)), child);
  }
  return node;
}

/** The page of the meta that counts so far comes last, so that at any time it or a new one is whole. */
async function writeMetas(file: FileHandle, meta: Meta, oldPage: 0 | 1): Promise<void> {
  const pages = metaPages(meta);
  for (const page of [1 - oldPage, oldPage]) {
    const at = page * meta.pageSize;
    await writeFully(file, pages.subarray(at, at + meta.pageSize), at);
    await file.sync();
  }
}

function inOrder(names: Set<string>): string[] {
  return [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
