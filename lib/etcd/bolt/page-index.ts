import { RowTable } from '../row-table.ts';

/** What a page turned out to be while it passed; whether it is live shows only when the tree is walked. */
export const PageKind = {
  /** Its header carries another page's number: part of an overflow, or garbage. */
  foreign: 0,
  /** Not well-formed, see `faultOf`. */
  broken: 1,
  /** Not looked at or not kept, because a limit of memory or work was reached. */
  skipped: 2,
  freelist: 3,
  /** A branch or leaf that is kept whole: `ref` is its place in KeptBytes. */
  branch: 4,
  leaf: 5,
  /** A list of all buckets that is not the root page: what an earlier transaction had as its root. Not kept. */
  formerRoot: 6,
  /** Pages of records and leases, which lib/etcd/mvcc reduces to what it needs. */
  recordBranch: 7,
  recordLeaf: 8,
  leaseLeaf: 9,
} as const;

export type PageKind = (typeof PageKind)[keyof typeof PageKind];

export interface PageFault {
  readonly code: string;
  readonly text: string;
}

// Fields of a row: 12 bytes a page.
const KIND = 0; // u8
const REACHED = 1; // u8, 0 or 1
const COUNT = 2; // u16
const REF = 4;
const OVERFLOW = 8;

/** Faults remembered in words; stale pages of a sound file have none, so only a hostile file has more. */
const MAX_FAULTS = 4096;
const ANY_FAULT: PageFault = { code: 'bolt.page-elements', text: 'its content is malformed' };

/** What is known of each page of a file, by page number; grows as pages pass. */
export class PageIndex {
  private readonly rows = new RowTable(12);
  private readonly faults = new Map<number, PageFault>();

  /** Pages seen. */
  get length(): number {
    return this.rows.length;
  }

  /** Makes room for the pages below `length`; they are foreign until noted. */
  grow(length: number): void {
    this.rows.grow(length);
  }

  note(page: number, kind: PageKind, count: number, overflow: number, ref: number): void {
    const row = this.rows.chunk(page);
    const at = this.rows.at(page);
    row.setUint8(at + KIND, kind);
    row.setUint16(at + COUNT, count, true);
    row.setUint32(at + REF, ref, true);
    row.setUint32(at + OVERFLOW, overflow, true);
  }

  noteBroken(page: number, fault: PageFault): void {
    this.rows.chunk(page).setUint8(this.rows.at(page) + KIND, PageKind.broken);
    if (this.faults.size < MAX_FAULTS) this.faults.set(page, fault);
  }

  kindOf(page: number): number {
    return this.rows.chunk(page).getUint8(this.rows.at(page) + KIND);
  }

  /** Elements of the page. */
  countOf(page: number): number {
    return this.rows.chunk(page).getUint16(this.rows.at(page) + COUNT, true);
  }

  /** Where its content is kept; what the number means depends on the kind. */
  refOf(page: number): number {
    return this.rows.get(page, REF);
  }

  /** Further pages that belong to it. */
  overflowOf(page: number): number {
    return this.rows.get(page, OVERFLOW);
  }

  faultOf(page: number): PageFault {
    return this.faults.get(page) ?? ANY_FAULT;
  }

  /** Marks the page as part of the tree; false when it was already. */
  reach(page: number): boolean {
    const row = this.rows.chunk(page);
    const at = this.rows.at(page) + REACHED;
    if (row.getUint8(at) !== 0) return false;
    row.setUint8(at, 1);
    return true;
  }

  isReached(page: number): boolean {
    return this.rows.chunk(page).getUint8(this.rows.at(page) + REACHED) !== 0;
  }
}
