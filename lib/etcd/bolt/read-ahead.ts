import { Buffer } from 'node:buffer';
import { childIds, childIndex } from './branch-page.ts';
import type { EntryBatch } from './entry-batch.ts';
import { LeafBatch } from './leaf-batch.ts';
import type { LoadedPage, PageReader } from './page-reader.ts';

/** Bytes of one read. */
const GROUP_SIZE = 512 * 1024;
/** Pages from one leaf to the next that are read along rather than skipped: overflow for the most part. */
const MAX_GAP = 32;
/** Reads under way beside the one whose leaves are being handed out. */
const READ_AHEAD = 2;
/** bbolt's own trees of 2^40 pages are not half as deep. */
const MAX_DEPTH = 32;

/**
 * The entries of the tree under page `root`, from key `from` on, in a batch for every read of about half a megabyte,
 * leaves being read ahead. Rejects with `bolt.corrupt` also where keys don't ascend from leaf to leaf (which pages
 * that lead back to themselves can't do), or where an element's flags aren't `elementFlags`.
 */
export async function* readAhead(
  reader: PageReader,
  root: number,
  elementFlags: number,
  from: Buffer,
): AsyncGenerator<EntryBatch, void> {
  const batch = new LeafBatch(reader, elementFlags, from);
  const pool = new BufferPool();
  const groups = leafGroups(reader, root, from, pool);
  const ahead: Promise<IteratorResult<LeafGroup, void>>[] = [];
  try {
    for (;;) {
      while (ahead.length <= READ_AHEAD) ahead.push(quiet(groups.next()));
      const next = await ahead.shift();
      if (next === undefined || next.done === true) return;
      const group = next.value;
      const bytes = await group.bytes;
      batch.restart(bytes);
      for (const id of group.leaves) {
        const page = reader.pageIn(bytes, (id - group.first) * reader.pageSize, id);
        if (page !== undefined) batch.add(page, id === root);
        else {
          // Its overflow lies outside of what was read: it gets a batch of its own.
          if (batch.count > 0) yield batch;
          const whole = await reader.load(id);
          batch.restart(whole.bytes);
          batch.add(whole, id === root);
          if (batch.count > 0) yield batch;
          batch.restart(bytes);
        }
      }
      if (batch.count > 0) yield batch;
      pool.giveBack(bytes);
    }
  } finally {
    // Nothing may still be read when the file is closed.
    await Promise.allSettled(ahead.map(async (group) => (await group).value?.bytes));
  }
}

/** Consecutive leaves, whose bytes are being read: those of page `first` and the ones behind it. */
interface LeafGroup {
  readonly first: number;
  readonly leaves: readonly number[];
  readonly bytes: Promise<Buffer>;
}

async function* leafGroups(
  reader: PageReader,
  root: number,
  from: Buffer,
  pool: BufferPool,
): AsyncGenerator<LeafGroup, void> {
  const depth = await leafDepth(reader, root);
  const maxPages = Math.max(1, GROUP_SIZE / reader.pageSize);
  for await (const leaves of siblingLeaves(reader, root, from, depth)) {
    for (const id of leaves) reader.checkId(id);
    let start = 0;
    while (start < leaves.length) {
      const first = leaves[start] ?? 0;
      let last = first;
      let end = start + 1;
      let next = leaves[end];
      while (next !== undefined && isNear(last, next) && next - first < maxPages) {
        last = next;
        next = leaves[++end];
      }
      const behind = next !== undefined && isNear(last, next) ? next : last + 1;
      const bytes = pool.take((behind - first) * reader.pageSize);
      const read = quiet(reader.read(bytes, first).then(() => bytes));
      yield { first, leaves: leaves.slice(start, end), bytes: read };
      start = end;
    }
  }
}

/** Ids of leaves in order, those of one branch at a time. */
async function* siblingLeaves(
  reader: PageReader,
  id: number,
  from: Buffer,
  depth: number,
): AsyncGenerator<readonly number[], void> {
  if (depth === 0) {
    yield [id];
    return;
  }
  const page = await reader.page(id);
  if (page.isLeaf) throw reader.corrupt(id, 'a leaf that is nearer to the root than others');
  const children = childIds(page).slice(childIndex(page, from));
  if (depth === 1) {
    yield children;
    return;
  }
  let first = true;
  for (const child of children) {
    yield* siblingLeaves(reader, child, first ? from : NO_KEY, depth - 1);
    first = false;
  }
}

const NO_KEY = Buffer.alloc(0);

/** How far below the root the leaves are; the same for all of them in every tree of bbolt's. */
async function leafDepth(reader: PageReader, root: number): Promise<number> {
  let page: LoadedPage = await reader.page(root);
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (page.isLeaf) return depth;
    page = await reader.page(childIds(page)[0] ?? 0);
  }
  throw reader.corrupt(root, `no leaf within ${MAX_DEPTH} levels below it`);
}

function isNear(last: number, next: number): boolean {
  return next > last && next - last <= MAX_GAP;
}

/** A promise whose failure nobody may come to wait for. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Buffers of reads, used again and again. */
class BufferPool {
  private readonly free: Buffer[] = [];

  take(size: number): Buffer {
    const buffer = this.free.pop();
    if (buffer !== undefined && buffer.length >= size) return buffer.subarray(0, size);
    return Buffer.allocUnsafeSlow(Math.max(size, GROUP_SIZE)).subarray(0, size);
  }

  giveBack(bytes: Buffer): void {
    if (this.free.length <= READ_AHEAD) this.free.push(Buffer.from(bytes.buffer));
  }
}
