import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import { BranchLevel } from './branch-level.ts';
import { type EntryBatch, EntryBatchBuilder, keyOf } from './entry-batch.ts';
import { leafSize, writeLeaf } from './leaf-page.ts';
import type { PageOutput } from './page-output.ts';
import { compareBytes, ELEMENT_SIZE, MAX_KEY_SIZE, MAX_VALUE_SIZE, PAGE_HEADER_SIZE } from './page.ts';

/** Where a finished tree is: its root page, or the image of its only leaf when that is small enough to live inline. */
export type TreeRoot = { readonly page: number } | { readonly inline: Buffer };

export interface TreeBuilderOptions {
  /** For error messages. */
  readonly bucket: string;
  /** `BUCKET_ELEMENT` for the tree of buckets itself, else 0. */
  readonly elementFlags: number;
  /** False for the tree of buckets, which always has pages of its own. */
  readonly mayBeInline: boolean;
}

/** A tree to go on with: the entries of its last leaf, and the branches above it, lowest first, without that leaf. */
export interface TreeEdge {
  readonly lastLeaf: EntryBatch;
  readonly branches: readonly BranchLevel[];
}

/**
 * Builds a bucket's tree from entries in ascending order: leaves as they fill, and branches above them as those fill.
 * It holds one leaf and two branch pages a level, whatever the size of the bucket. Pages are filled completely.
 */
export class TreeBuilder {
  /** Entries added, those of a given edge not among them. */
  entries = 0;

  private readonly output: PageOutput;
  private readonly options: TreeBuilderOptions;
  private readonly branches: BranchLevel[];
  /** The entries of the leaf that isn't full yet. */
  private readonly pending: EntryBatchBuilder;
  private pendingCapacity: number;
  private lastKey: Buffer = Buffer.alloc(0);

  constructor(output: PageOutput, options: TreeBuilderOptions, edge?: TreeEdge) {
    this.output = output;
    this.options = options;
    this.branches = [...(edge?.branches ?? [])];
    this.pending = new EntryBatchBuilder(2 * output.pageSize);
    this.pendingCapacity = output.pageSize;
    if (edge !== undefined) {
      this.checkEntries(edge.lastLeaf);
      this.addInOrder(edge.lastLeaf);
    }
  }

  /** Rejects with `bolt.order`, `bolt.key-size` or `bolt.value-size`, naming bucket and key. */
  add(batch: EntryBatch): void {
    this.checkEntries(batch);
    this.addInOrder(batch);
    this.entries += batch.count;
  }

  finish(): TreeRoot {
    if (this.branches.length === 0) {
      const { pending } = this;
      const size = leafSize(pending, 0, pending.count);
      if (this.options.mayBeInline && size <= this.output.pageSize / 4) {
        const inline = Buffer.alloc(size);
        const run = { id: 0, overflow: 0, bytes: inline };
        writeLeaf(run, pending, 0, pending.count, this.options.elementFlags);
        return { inline };
      }
      return { page: this.emitLeaf(pending, 0, pending.count) };
    }
    this.addLeaf(this.pending, 0, this.pending.count);
    for (const [level, branch] of this.branches.entries()) {
      for (const node of branch.finish()) {
        const page = node.write(this.output);
        if (level === this.branches.length - 1 && branch.pagesFinished === 1) return { page };
        this.addChild(level + 1, node.firstKey(), page);
      }
    }
    throw new Error('unreachable: the highest level of branches ends in one page');
  }

  private addInOrder(batch: EntryBatch): void {
    const { pending } = this;
    let from = 0;
    if (pending.count > 0) {
      from = this.fill(batch, 0, pending.count, pending.size);
      pending.addFrom(batch, 0, from);
      if (from === batch.count) return;
      this.addLeaf(pending, 0, pending.count);
      pending.clear();
    }
    for (;;) {
      this.pendingCapacity = this.output.pageSize;
      const to = this.fill(batch, from, 0, 0);
      if (to === batch.count) break;
      this.addLeaf(batch, from, to);
      from = to;
    }
    pending.addFrom(batch, from, batch.count);
  }

  /** How far the batch fits, from `index` on, into a leaf that has `count` entries of `size` bytes already. */
  private fill(batch: EntryBatch, index: number, count: number, size: number): number {
    const { keySizes, valueSizes } = batch;
    let capacity = this.pendingCapacity;
    let used = PAGE_HEADER_SIZE + ELEMENT_SIZE * count + size;
    let elements = count;
    let at = index;
    while (at < batch.count) {
      used += ELEMENT_SIZE + (keySizes[at] ?? 0) + (valueSizes[at] ?? 0);
      if (used > capacity) {
        if (elements > 0) break;
        // Larger than a page: a run of pages, and what follows may use the rest of it.
        capacity = Math.ceil(used / this.output.pageSize) * this.output.pageSize;
      }
      elements++;
      at++;
    }
    this.pendingCapacity = capacity;
    return at;
  }

  private addLeaf(batch: EntryBatch, from: number, to: number): void {
    this.addChild(0, keyOf(batch, from), this.emitLeaf(batch, from, to));
  }

  private emitLeaf(batch: EntryBatch, from: number, to: number): number {
    const pages = Math.ceil(leafSize(batch, from, to) / this.output.pageSize);
    const run = this.output.reserve(pages);
    writeLeaf(run, batch, from, to, this.options.elementFlags);
    return run.id;
  }

  private addChild(level: number, key: Buffer, page: number): void {
    let branch = this.branches[level];
    if (branch === undefined) {
      branch = new BranchLevel(this.output.pageSize);
      this.branches.push(branch);
    }
    const full = branch.add(key, page);
    if (full !== undefined) this.addChild(level + 1, full.firstKey(), full.write(this.output));
  }

  private checkEntries(batch: EntryBatch): void {
    const { bytes, count, keyStarts, keySizes, valueSizes } = batch;
    if (count === 0) return;
    let previousBytes = this.lastKey;
    let previousStart = 0;
    let previousEnd = this.lastKey.length;
    for (let index = 0; index < count; index++) {
      const start = keyStarts[index] ?? 0;
      const size = keySizes[index] ?? 0;
      const end = start + size;
      if (size === 0 || size > MAX_KEY_SIZE)
        throw this.refusal('bolt.key-size', batch, index, `${size} bytes of key`);
      const valueSize = valueSizes[index] ?? 0;
      if (valueSize > MAX_VALUE_SIZE)
        throw this.refusal('bolt.value-size', batch, index, `${valueSize} bytes of value`);
      if (compareBytes(bytes, start, end, previousBytes, previousStart, previousEnd) <= 0) {
        throw this.refusal('bolt.order', batch, index, 'not above its predecessor');
      }
      previousBytes = bytes;
      previousStart = start;
      previousEnd = end;
    }
    this.lastKey = Buffer.from(bytes.subarray(previousStart, previousEnd));
  }

  private refusal(code: string, batch: EntryBatch, index: number, what: string): GuardianError {
    const key = keyOf(batch, index).toString('hex', 0, 40);
    return new GuardianError(code, `entry ${key} of bucket ${this.options.bucket}: ${what}`);
  }
}
