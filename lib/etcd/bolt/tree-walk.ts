import type { Buffer } from 'node:buffer';
import type { ProblemList } from '../problem-list.ts';
import { FIRST_DATA_PAGE } from './page.ts';
import { PageKind, type PageIndex } from './page-index.ts';
import type { Branch } from './plain-pages.ts';

/** The content of pages that passed, in whatever form it was kept. */
export interface TreePages {
  readonly index: PageIndex;
  branch(page: number): Branch;
  /** True when a leaf holds a key below this one. */
  leafStartsBelow(page: number, key: Buffer): boolean;
  /** True when a leaf holds this key or one above. */
  leafReaches(page: number, key: Buffer): boolean;
  /** Reads a page that was skipped once more, where that is possible; afterwards the index says what it is. */
  revisit(page: number): void;
}

export interface FileShape {
  readonly pageSize: number;
  /** As the meta page says; the file may be shorter. */
  readonly pageCount: number;
}

/** Far deeper than any tree of a file that fits a disk. */
const MAX_DEPTH = 64;

/**
 * Walks the trees of a file from their roots, each page once, and reports what `bbolt check` does: pages outside the
 * file, referenced twice, of the wrong kind, keys outside the range that the parent gives their page. (That keys
 * ascend within a page was seen when it passed.)
 */
export class TreeWalk {
  private readonly pages: TreePages;
  private readonly shape: FileShape;
  private readonly problems: ProblemList;
  reached = 0;

  constructor(pages: TreePages, shape: FileShape, problems: ProblemList) {
    this.pages = pages;
    this.shape = shape;
    this.problems = problems;
  }

  /** Calls `visit` for each leaf page under `root`, in key order. `tree` names the tree in messages. */
  walk(root: number, tree: string, visit: (page: number) => void): void {
    this.descend(root, { tree, parent: undefined, low: undefined, high: undefined, depth: 0 }, visit);
  }

  private descend(page: number, place: Place, visit: (page: number) => void): void {
    if (!this.claim(page, place)) return;
    const kind = this.pages.index.kindOf(page);
    const { low, high } = place;
    if (kind !== PageKind.branch && kind !== PageKind.recordBranch) {
      if (low !== undefined && this.pages.leafStartsBelow(page, low)) this.reportLow(page, place);
      if (high !== undefined && this.pages.leafReaches(page, high)) this.reportHigh(page, place);
      visit(page);
      return;
    }
    if (place.depth === MAX_DEPTH) {
      this.report(page, 'bolt.depth', `lies deeper than ${MAX_DEPTH} levels`, place);
      return;
    }
    const { children, keys } = this.pages.branch(page);
    const first = keys[0];
    const last = keys[keys.length - 1];
    if (low !== undefined && first !== undefined && first.compare(low) < 0) this.reportLow(page, place);
    if (high !== undefined && last !== undefined && last.compare(high) >= 0) this.reportHigh(page, place);
    for (const [index, child] of children.entries()) {
      const below = {
        tree: place.tree,
        parent: page,
        low: keys[index],
        high: keys[index + 1] ?? place.high,
        depth: place.depth + 1,
      };
      this.descend(child, below, visit);
    }
  }

  /** Takes the page and its overflow for the tree; false, and a problem, when that can't be. */
  private claim(page: number, place: Place): boolean {
    const { index } = this.pages;
    if (page < FIRST_DATA_PAGE || page >= this.shape.pageCount) {
      this.report(page, 'bolt.page-range', `is not one of the ${this.shape.pageCount} pages`, place);
      return false;
    }
    if (page >= index.length) {
      this.report(page, 'file.truncated', 'lies behind the end of the file', place);
      return false;
    }
    const firstFault = index.kindOf(page) === PageKind.skipped ? undefined : this.kindFault(page);
    if (firstFault !== undefined) {
      this.report(page, firstFault.code, firstFault.text, place);
      return false;
    }
    const last = page + index.overflowOf(page);
    if (last >= index.length) {
      this.report(page, 'file.truncated', 'reaches behind the end of the file', place);
      return false;
    }
    for (let part = page; part <= last; part++) {
      if (!index.reach(part)) {
        this.report(part, 'bolt.page-twice', 'belongs to the tree twice', place);
        return false;
      }
      this.reached++;
    }
    if (index.kindOf(page) !== PageKind.skipped) return true;
    this.pages.revisit(page);
    const fault = this.kindFault(page);
    if (fault !== undefined) this.report(page, fault.code, fault.text, place);
    return fault === undefined;
  }

  private kindFault(page: number): { readonly code: string; readonly text: string } | undefined {
    const { index } = this.pages;
    switch (index.kindOf(page)) {
      case PageKind.foreign:
        return { code: 'bolt.page-id', text: "doesn't carry its own number" };
      case PageKind.broken:
        return index.faultOf(page);
      case PageKind.skipped:
        return {
          code: 'verify.page-skipped',
          text: 'was not kept: the memory set aside for pages, free ones included, was used up; defragment the member, or give this process more memory',
        };
      case PageKind.freelist:
        return { code: 'bolt.page-kind', text: 'is a freelist, not a branch or leaf' };
      case PageKind.formerRoot:
        return { code: 'bolt.page-kind', text: "lists all buckets but isn't the root page" };
      default:
        return undefined;
    }
  }

  private reportLow(page: number, place: Place): void {
    this.report(page, 'bolt.page-bounds', "starts below its parent's key", place);
  }

  private reportHigh(page: number, place: Place): void {
    this.report(page, 'bolt.page-bounds', "reaches its parent's next key", place);
  }

  private report(page: number, code: string, text: string, { tree, parent }: Place): void {
    const referrer = parent === undefined ? '' : ` (child of page ${parent})`;
    this.problems.add({
      code,
      message: `${tree}: page ${page}${referrer}: ${text}`,
      page,
      offset: page * this.shape.pageSize,
      key: tree,
    });
  }
}

/** Where in a tree a page was referenced, and the range of keys [low, high) that it may hold. */
interface Place {
  readonly tree: string;
  readonly parent: number | undefined;
  readonly low: Buffer | undefined;
  readonly high: Buffer | undefined;
  readonly depth: number;
}
