import type { Buffer } from 'node:buffer';
import { EntryBatchBuilder, keyOf } from './entry-batch.ts';
import type { PageOutput } from './page-output.ts';
import {
  BRANCH_PAGE,
  ELEMENT_SIZE,
  elementOffset,
  PAGE_HEADER_SIZE,
  writePageHeader,
  writeU64,
} from './page.ts';

/** Fewer children than this are never put into a page, however long their keys: a page is then a run. */
const MIN_FULL = 4;

/**
 * One level of a tree under construction. No branch ever gets a single child: bbolt panics ("parent must have at least
 * 2 children") when it later rebalances the child of such a branch, which a compaction may do to it. So the last full
 * page is held back until the one behind it has two.
 */
export class BranchLevel {
  /** Pages that this level ended up with; only true after `finish`. */
  pagesFinished = 0;

  private readonly pageSize: number;
  private held: BranchNode | undefined;
  private node: BranchNode;

  /** `node`: a page to go on with. */
  constructor(pageSize: number, node = new BranchNode()) {
    this.pageSize = pageSize;
    this.node = node;
  }

  /** Adds a child. Gives back a page that is complete with that, to be written and added to the level above. */
  add(key: Buffer, page: number): BranchNode | undefined {
    if (this.node.count >= MIN_FULL && this.node.sizeWith(key) > this.pageSize) {
      const complete = this.held;
      this.held = this.node;
      this.node = new BranchNode();
      this.node.add(key, page);
      if (complete !== undefined) this.pagesFinished++;
      return complete;
    }
    this.node.add(key, page);
    return undefined;
  }

  /** The pages that were still held back. */
  finish(): BranchNode[] {
    const nodes = this.held === undefined ? [this.node] : [this.held, this.node];
    if (this.held !== undefined && this.node.count === 1) this.node.takeLastOf(this.held);
    this.pagesFinished += nodes.length;
    return nodes;
  }
}

/** A branch page in the making: children in ascending order of their first keys. */
export class BranchNode {
  /** The keys; an entry's value is the child's page id. */
  private entries = new EntryBatchBuilder(512);

  get count(): number {
    return this.entries.count;
  }

  firstKey(): Buffer {
    return keyOf(this.entries, 0);
  }

  add(key: Buffer, page: number): void {
    const start = this.entries.reserve(key.length, 8);
    this.entries.bytes.set(key, start);
    writeU64(this.entries.bytes, start + key.length, page);
  }

  takeLastOf(other: BranchNode): void {
    const last = other.entries.count - 1;
    const entries = new EntryBatchBuilder(512);
    entries.addFrom(other.entries, last, last + 1);
    entries.addFrom(this.entries, 0, this.entries.count);
    this.entries = entries;
    const rest = new EntryBatchBuilder(512);
    rest.addFrom(other.entries, 0, last);
    other.entries = rest;
  }

  /** Bytes of the page with one more child of that first key. */
  sizeWith(key: Buffer): number {
    return this.size + ELEMENT_SIZE + key.length;
  }

  /** Writes it to the next free page or pages and returns its id. */
  write(output: PageOutput): number {
    const { entries } = this;
    const pages = Math.ceil(this.size / output.pageSize);
    const { id, overflow, bytes } = output.reserve(pages);
    writePageHeader(bytes, 0, { id, flags: BRANCH_PAGE, count: entries.count, overflow });
    let at = elementOffset(0, entries.count);
    for (let index = 0; index < entries.count; index++) {
      const element = elementOffset(0, index);
      const start = entries.keyStarts[index] ?? 0;
      const keySize = entries.keySizes[index] ?? 0;
      bytes.writeUInt32LE(at - element, element);
      bytes.writeUInt32LE(keySize, element + 4);
      entries.bytes.copy(bytes, element + 8, start + keySize, start + keySize + 8);
      at += entries.bytes.copy(bytes, at, start, start + keySize);
    }
    bytes.fill(0, at);
    return id;
  }

  private get size(): number {
    // Eight bytes of each entry, the child's id, are part of the element.
    return PAGE_HEADER_SIZE + (ELEMENT_SIZE - 8) * this.entries.count + this.entries.size;
  }
}
