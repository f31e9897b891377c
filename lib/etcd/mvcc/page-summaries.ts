import type { Buffer } from 'node:buffer';
import { KeptBytes } from '../bolt/kept-bytes.ts';
import { type PageFault, PageIndex, PageKind } from '../bolt/page-index.ts';
import type { PageSink } from '../bolt/page-stream.ts';
import {
  BRANCH_PAGE,
  BUCKET_ELEMENT,
  ELEMENT_SIZE,
  FREELIST_PAGE,
  LEAF_PAGE,
  PAGE_HEADER_SIZE,
} from '../bolt/page.ts';
import {
  type Branch,
  leafElementAt,
  plainBranchFault,
  plainLeafFault,
  plainPageEnd,
  readBranch,
} from '../bolt/plain-pages.ts';
import type { TreePages } from '../bolt/tree-walk.ts';
import { ByteWindow } from '../byte-window.ts';
import { EntryTable, MAX_ROW_SIZE } from './entry-table.ts';
import { LeaseLeafPacker, unpackLeaseLeaf } from './lease-leaf.ts';
import { LeasedEntries } from './leased-entries.ts';
import type { PassLimits } from './pass-limits.ts';
import { RecordBranchPacker, unpackRecordBranch } from './record-branch.ts';
import { RecordLeafReader, startsWithRecord } from './record-leaf.ts';
import type { KeyGrouping } from './snapshot-verdict.ts';
import type { ValueCensus } from './value-census.ts';

/** The page number under which an inline bucket `key` is found in the index. */
export const INLINE_RECORDS = 1;

/** Bytes of one page, overflow included, that are read once more at the most. */
const MAX_REVISITED = 64 * 1024 * 1024;

/** Reads `length` bytes of the file once more, from `offset`; fewer at the file's end. */
export type Reread = (offset: number, length: number) => Buffer;

export interface SummaryOptions {
  readonly pageSize: number;
  readonly rootPage: number;
  readonly freelistPage: number | undefined;
  readonly limits: PassLimits;
  readonly grouping: KeyGrouping | undefined;
  readonly census: ValueCensus | undefined;
  /** How to get at pages that the limits left out; without it, a live one among them is a problem. */
  readonly reread: Reread | undefined;
}

/**
 * Reduces each page, as it passes, to what a verdict needs of it. No page's bytes are kept as they are but those of
 * the small buckets.
 */
export class PageSummaries implements PageSink, TreePages {
  readonly index = new PageIndex();
  readonly entries: EntryTable;
  readonly leased = new LeasedEntries();
  readonly records: RecordLeafReader;
  private readonly options: SummaryOptions;
  private readonly kept: KeptBytes;
  private readonly branches = new RecordBranchPacker();
  private readonly leases = new LeaseLeafPacker();
  private maxRecordBytes: number;
  private isExtended = false;

  constructor(options: SummaryOptions) {
    this.options = options;
    this.kept = new KeptBytes(options.limits.kept);
    this.maxRecordBytes = options.limits.records;
    const { grouping, census } = options;
    this.entries = new EntryTable(grouping !== undefined || census !== undefined);
    this.records = new RecordLeafReader(this.entries, this.leased, grouping, census);
  }

  seen(pages: number): void {
    this.index.grow(pages);
  }

  page(page: number, window: ByteWindow, start: number, end: number): void {
    const flags = window.view.getUint16(start + 8, true);
    const overflow = (end - start) / this.options.pageSize - 1;
    if (flags === LEAF_PAGE) this.leaf(page, window, start, end, overflow);
    else if (flags === BRANCH_PAGE) this.branchPage(page, window, start, end, overflow);
    else if (flags === FREELIST_PAGE) this.freelist(page, window, start, end, overflow);
    else this.broken(page, { code: 'bolt.page-kind', text: `has the flags ${flags}` });
  }

  broken(page: number, fault: PageFault): void {
    this.index.noteBroken(page, fault);
  }

  skipped(page: number, overflow: number): void {
    this.index.note(page, PageKind.skipped, 0, overflow, 0);
  }

  /**
   * Reads the inline page of bucket `key`. It gets the number of a meta page, whose place in the index is free; what
   * became of it is found there.
   */
  inlineRecords(page: Buffer): typeof INLINE_RECORDS {
    this.extendLimits();
    this.leaf(INLINE_RECORDS, new ByteWindow(page), 0, page.length, 0);
    return INLINE_RECORDS;
  }

  /** The bytes of a leaf that was kept whole, or of the freelist. */
  plainPage(page: number): ByteWindow {
    return this.kept.read(this.index.refOf(page));
  }

  branch(page: number): Branch {
    const { bytes } = this.plainPage(page);
    return this.index.kindOf(page) === PageKind.recordBranch
      ? unpackRecordBranch(bytes, this.index.countOf(page))
      : readBranch(bytes, 0);
  }

  leafStartsBelow(page: number, key: Buffer): boolean {
    if (this.index.countOf(page) === 0) return false;
    if (this.index.kindOf(page) !== PageKind.recordLeaf) return this.plainKey(page, 0).compare(key) < 0;
    return this.entries.compareToKey(this.index.refOf(page), key) < 0;
  }

  leafReaches(page: number, key: Buffer): boolean {
    const last = this.index.countOf(page) - 1;
    if (last < 0) return false;
    if (this.index.kindOf(page) !== PageKind.recordLeaf) return this.plainKey(page, last).compare(key) >= 0;
    return this.entries.compareToKey(this.index.refOf(page) + last, key) >= 0;
  }

  revisit(page: number): void {
    const { reread, pageSize } = this.options;
    const size = (this.index.overflowOf(page) + 1) * pageSize;
    if (reread === undefined || size > MAX_REVISITED) return;
    this.extendLimits();
    const bytes = reread(page * pageSize, size);
    if (bytes.length === size) this.page(page, new ByteWindow(bytes), 0, size);
  }

  /** For pages known to be live more is allowed, however much stale pages took. */
  private extendLimits(): void {
    if (this.isExtended) return;
    this.isExtended = true;
    this.maxRecordBytes += this.options.limits.liveRecords;
    this.kept.extend(this.options.limits.liveKept);
  }

  private leaf(page: number, window: ByteWindow, start: number, end: number, overflow: number): void {
    const count = window.view.getUint16(start + 10, true);
    if (count > 0 && startsWithRecord(window, start, end)) {
      const first = this.entries.length;
      const size = this.entries.size + this.leased.size;
      if (size + count * MAX_ROW_SIZE > this.maxRecordBytes) {
        this.skipped(page, overflow);
        return;
      }
      const fault = this.records.read(window, start, end);
      if (fault !== undefined) this.broken(page, fault);
      else this.index.note(page, PageKind.recordLeaf, count, overflow, first);
      return;
    }
    const fault = plainLeafFault(window.bytes, start, end);
    if (fault !== undefined) {
      this.broken(page, { code: 'bolt.page-elements', text: fault });
    } else if (page !== this.options.rootPage && listsAllBuckets(window.bytes, start, count)) {
      this.index.note(page, PageKind.formerRoot, count, overflow, 0);
    } else {
      const leases = count === 0 ? undefined : this.leases.pack(window, start);
      if (leases !== undefined) {
        this.keep(page, PageKind.leaseLeaf, count, overflow, this.leases.bytes, 0, leases);
      } else {
        const used = plainPageEnd(window.bytes, start, true);
        this.keep(page, PageKind.leaf, count, overflow, window.bytes, start, used);
      }
    }
  }

  private branchPage(page: number, window: ByteWindow, start: number, end: number, overflow: number): void {
    const fault = plainBranchFault(window.bytes, start, end);
    if (fault !== undefined) {
      this.broken(page, { code: 'bolt.page-elements', text: fault });
      return;
    }
    const count = window.view.getUint16(start + 10, true);
    const packed = this.branches.pack(window.bytes, start);
    if (packed !== undefined) {
      this.keep(page, PageKind.recordBranch, count, overflow, this.branches.bytes, 0, packed);
    } else {
      const used = plainPageEnd(window.bytes, start, false);
      this.keep(page, PageKind.branch, count, overflow, window.bytes, start, used);
    }
  }

  private freelist(page: number, window: ByteWindow, start: number, end: number, overflow: number): void {
    if (page === this.options.freelistPage) {
      this.keep(page, PageKind.freelist, 0, overflow, window.bytes, start, end);
    } else this.index.note(page, PageKind.freelist, 0, overflow, 0);
  }

  private keep(
    page: number,
    kind: PageKind,
    count: number,
    overflow: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const ref = this.kept.keep(bytes, start, end);
    if (ref === undefined) this.skipped(page, overflow);
    else this.index.note(page, kind, count, overflow, ref);
  }

  /** A key of a leaf that is not one of records. */
  private plainKey(page: number, element: number): Buffer {
    const { bytes } = this.plainPage(page);
    return this.index.kindOf(page) === PageKind.leaseLeaf
      ? unpackLeaseLeaf(bytes).ids.subarray(8 * element, 8 * element + 8)
      : leafElementAt(bytes, 0, element).key;
  }
}

/**
 * True for the list of buckets that an earlier transaction had as its only root page: every commit leaves one behind,
 * so they must not be collected. (Where the list takes several pages, as with large auth buckets, none holds all.)
 */
function listsAllBuckets(bytes: Buffer, page: number, count: number): boolean {
  if (count < 2 || bytes.readUInt32LE(page + PAGE_HEADER_SIZE) !== BUCKET_ELEMENT) return false;
  if (bytes.length < page + PAGE_HEADER_SIZE + count * ELEMENT_SIZE) return false;
  const first = leafElementAt(bytes, page, 0).key.toString('latin1');
  const last = leafElementAt(bytes, page, count - 1).key.toString('latin1');
  return first === 'alarm' && last === 'meta';
}
