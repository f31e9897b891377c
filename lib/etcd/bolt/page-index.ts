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

// Fields of a row: 10 bytes a page, and a file has a page every 4 KiB.
const KIND = 0; // u8; REACHED is set when the page is part of a tree
const OVERFLOW = 1; // u24
const COUNT = 4; // u16
const REF = 6; // u32
const ROW_SIZE = 10;

const REACHED = 0x80;

/** The highest overflow that has room: 2^24 pages are far more than bbolt's largest value. */
export const MAX_OVERFLOW = 0xff_ffff;

/** Faults remembered in words; stale pages of a sound file have none, so only a hostile file has more. */
const MAX_FAULTS = 4096;
const ANY_FAULT: PageFault = { code: 'bolt.page-elements', text: 'its content is malformed' };

/** What is known of each page of a file, by page number; grows as pages pass. */
export class PageIndex {
  private readonly rows = new RowTable(ROW_SIZE);
  private readonly faults = new Map<number, PageFault>();

  /** Pages seen. */
  get length(): number {
    return this.rows.length;
  }

  /** Makes room for the pages below `length`; they are foreign until noted. */
  grow(length: number): void {
    this.rows.grow(length);
  }

  /** `overflow` up to MAX_OVERFLOW. */
  note(page: number, kind: PageKind, count: number, overflow: number, ref: number): void {
    const row = this.rows.chunk(page);
    const at = this.rows.at(page);
    row.setUint32(at + KIND, (row.getUint8(at + KIND) & REACHED) | kind | (overflow << 8), true);
    row.setUint16(at + COUNT, count, true);
    row.setUint32(at + REF, ref, true);
  }

  noteBroken(page: number, fault: PageFault): void {
    this.note(page, PageKind.broken, 0, 0, 0);
    if (this.faults.size < MAX_FAULTS) this.faults.set(page, fault);
  }

  kindOf(page: number): number {
    return this.rows.chunk(page).getUint8(this.rows.at(page) + KIND) & ~REACHED;
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
    return this.rows.get(page, OVERFLOW) & MAX_OVERFLOW;
  }

  faultOf(page: number): PageFault {
    return this.faults.get(page) ?? ANY_FAULT;
  }

  /** Marks the page as part of the tree; false when it was already. */
  reach(page: number): boolean {
    if (this.isReached(page)) return false;
    const row = this.rows.chunk(page);
    const at = this.rows.at(page) + KIND;
    row.setUint8(at, row.getUint8(at) | REACHED);
    return true;
  }

  isReached(page: number): boolean {
    return (this.rows.chunk(page).getUint8(this.rows.at(page) + KIND) & REACHED) !== 0;
  }
}
