import type { PageIndex } from '../bolt/page-index.ts';
import { RowTable } from '../row-table.ts';
import type { EntryTable } from './entry-table.ts';

/** Bucket `key`: its leaf pages in order, and through them its entries in the order of their revisions. */
export class LiveRecords {
  readonly entries: EntryTable;
  /** Entries in all. */
  count = 0;
  private readonly index: PageIndex;
  private readonly pages = new RowTable(4);

  constructor(entries: EntryTable, index: PageIndex) {
    this.entries = entries;
    this.index = index;
  }

  get pageCount(): number {
    return this.pages.length;
  }

  /** Adds the next leaf page, which is one of records and not empty. */
  addPage(page: number): void {
    this.pages.set(this.pages.add(), 0, page);
    this.count += this.index.countOf(page);
  }

  /** The number of the `nth` page, for messages. */
  page(nth: number): number {
    return this.pages.get(nth, 0);
  }

  /** Rows [first, end) of the entry table are the entries of the `nth` page. */
  first(nth: number): number {
    return this.index.refOf(this.pages.get(nth, 0));
  }

  end(nth: number): number {
    const page = this.pages.get(nth, 0);
    return this.index.refOf(page) + this.index.countOf(page);
  }

  /** The row of the last entry; undefined when there is none. */
  get last(): number | undefined {
    return this.pageCount === 0 ? undefined : this.end(this.pageCount - 1) - 1;
  }

  /** Where the entry of a revision is; undefined when there is none. */
  find(main: number, sub: number): { readonly row: number; readonly pageStart: number } | undefined {
    const nth = this.lastPageFrom(main, sub);
    if (nth === undefined) return undefined;
    const pageStart = this.first(nth);
    for (let row = pageStart; row < this.end(nth) && this.entries.mainOf(row) <= main; row++) {
      if (this.entries.mainOf(row) === main && this.entries.subOf(row) === sub) return { row, pageStart };
    }
    return undefined;
  }

  /** `main_sub`, as etcd writes revisions. */
  revisionOf(row: number): string {
    return `${this.entries.mainOf(row)}_${this.entries.subOf(row)}`;
  }

  /** The last page that starts at or below the revision. */
  private lastPageFrom(main: number, sub: number): number | undefined {
    let low = 0;
    let high = this.pageCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.first(middle);
      const order = this.entries.mainOf(first) - main || this.entries.subOf(first) - sub;
      if (order <= 0) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : low - 1;
  }
}
