import { Buffer } from 'node:buffer';
import { ByteWindow } from '../byte-window.ts';
import {
  BRANCH_PAGE,
  ELEMENT_SIZE,
  FIRST_DATA_PAGE,
  FREELIST_PAGE,
  LEAF_PAGE,
  PAGE_HEADER_SIZE,
} from './page.ts';
import { MAX_OVERFLOW, type PageFault } from './page-index.ts';

/** Takes the pages that a PageStream finds. */
export interface PageSink {
  /** Pages below this number have passed, or are passing with this very call of `write`. */
  seen(pages: number): void;
  /**
   * A page that carries its own number, overflow included: bytes [start, end) of `window`, which belong to the caller
   * again afterwards. It may be live, or the remains of an earlier transaction.
   */
  page(page: number, window: ByteWindow, start: number, end: number): void;
  /** A page whose header can't be true. */
  broken(page: number, fault: PageFault): void;
  /** A page, with `overflow` further ones, that wasn't gathered because of the limits below. */
  skipped(page: number, overflow: number): void;
}

/**
 * Bytes of overflowing pages looked at per byte that passed. In a sound file they hardly overlap; a hostile one could
 * make each page claim thousands of those behind it.
 */
const WORK_PER_BYTE = 4;
const WORK_AT_START = 64 * 1024 * 1024;

/** An overflowing page of which more bytes are to come. */
interface Gathering {
  readonly page: number;
  readonly window: ByteWindow;
  filled: number;
}

/**
 * Cuts a bbolt file that streams past into its pages, whatever the sizes of its chunks. Copies only what a chunk's end
 * cuts in two.
 *
 * A free page may hold an old header whose overflow covers what are live pages today, and the overflow of a live page
 * may contain bytes that look like a page. So no page is left out because an earlier one claims it: each that carries
 * its own number is handed on, and the walk through the tree decides which reading is true.
 */
export class PageStream {
  private readonly pageSize: number;
  private readonly pageCount: number;
  private readonly sink: PageSink;
  private readonly maxGathered: number;
  private next = 0;
  /** The page that the last chunk cut in two. */
  private readonly carry: ByteWindow;
  private carried = 0;
  private gatherings: Gathering[] = [];
  private gathered = 0;
  private work = WORK_AT_START;

  /** `maxGathered`: bytes of unfinished overflowing pages held at one time. */
  constructor(pageSize: number, pageCount: number, sink: PageSink, maxGathered: number) {
    this.maxGathered = maxGathered;
    this.pageSize = pageSize;
    this.pageCount = pageCount;
    this.sink = sink;
    this.carry = new ByteWindow(Buffer.allocUnsafeSlow(pageSize));
  }

  /** The next bytes of the file; what follows its last page is ignored. */
  write(window: ByteWindow): void {
    const size = window.bytes.length;
    let at = 0;
    if (this.carried > 0) {
      at = Math.min(this.pageSize - this.carried, size);
      window.bytes.copy(this.carry.bytes, this.carried, 0, at);
      this.carried += at;
      if (this.carried < this.pageSize) return;
      this.carried = 0;
      this.pages(this.carry, 0, 1);
    }
    const whole = Math.min(Math.floor((size - at) / this.pageSize), this.pageCount - this.next);
    if (whole > 0) this.pages(window, at, whole);
    at += whole * this.pageSize;
    if (this.next < this.pageCount) this.carried = window.bytes.copy(this.carry.bytes, 0, at);
  }

  /** The file is over: what was still being gathered is not in it. */
  finish(): void {
    for (const { page } of this.gatherings) {
      this.sink.broken(page, { code: 'file.truncated', text: 'the file ends within it' });
    }
    this.gatherings = [];
  }

  private pages(window: ByteWindow, start: number, count: number): void {
    const first = this.next;
    const end = start + count * this.pageSize;
    this.next = first + count;
    this.work += count * this.pageSize * WORK_PER_BYTE;
    this.sink.seen(this.next);
    if (this.gatherings.length > 0) this.gather(window.bytes, start, end);
    const view = window.view;
    for (let page = first, at = start; at < end; page++, at += this.pageSize) {
      if (view.getUint32(at, true) !== page || view.getUint32(at + 4, true) !== 0) continue;
      if (page < FIRST_DATA_PAGE) continue;
      const overflow = view.getUint32(at + 12, true);
      if (overflow === 0) this.sink.page(page, window, at, at + this.pageSize);
      else this.overflowing(page, overflow, window, at, end);
    }
  }

  /** A page of which at least one further page is said to be part; the window goes on until `end`. */
  private overflowing(page: number, overflow: number, window: ByteWindow, at: number, end: number): void {
    const size = (overflow + 1) * this.pageSize;
    const fault =
      page + overflow >= this.pageCount || overflow > MAX_OVERFLOW
        ? 'its overflow reaches beyond the last page'
        : overflowFault(window.view, at, at + this.pageSize, size);
    if (fault !== undefined) {
      this.sink.broken(page, { code: 'bolt.overflow', text: fault });
    } else if (size > this.work) {
      this.sink.skipped(page, overflow);
    } else if (at + size <= end) {
      this.work -= size;
      this.sink.page(page, window, at, at + size);
    } else if (this.gathered + size > this.maxGathered) {
      this.sink.skipped(page, overflow);
    } else {
      this.work -= size;
      this.gathered += size;
      const gathering = { page, window: new ByteWindow(Buffer.allocUnsafeSlow(size)), filled: end - at };
      window.bytes.copy(gathering.window.bytes, 0, at, end);
      this.gatherings.push(gathering);
    }
  }

  private gather(bytes: Buffer, start: number, end: number): void {
    const open: Gathering[] = [];
    for (const gathering of this.gatherings) {
      gathering.filled += bytes.copy(gathering.window.bytes, gathering.filled, start, end);
      const size = gathering.window.bytes.length;
      if (gathering.filled < size) open.push(gathering);
      else {
        this.gathered -= size;
        this.sink.page(gathering.page, gathering.window, 0, size);
      }
    }
    this.gatherings = open;
  }
}

/** Why the header and elements at the start of an overflowing page, which go on until `pageEnd`, can't be of `size` bytes. */
function overflowFault(view: DataView, page: number, pageEnd: number, size: number): string | undefined {
  const flags = view.getUint16(page + 8, true);
  const count = view.getUint16(page + 10, true);
  if (flags === FREELIST_PAGE) return undefined;
  if (flags !== LEAF_PAGE && flags !== BRANCH_PAGE) return 'it overflows but is neither a branch nor a leaf';
  const elementsEnd = page + PAGE_HEADER_SIZE + count * ELEMENT_SIZE;
  let needed = elementsEnd - page;
  for (let at = page + PAGE_HEADER_SIZE; at < elementsEnd && at < pageEnd; at += ELEMENT_SIZE) {
    needed +=
      flags === LEAF_PAGE
        ? view.getUint32(at + 8, true) + view.getUint32(at + 12, true)
        : view.getUint32(at + 4, true);
  }
  return needed <= size ? undefined : 'its elements do not fit its overflow';
}
