import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWindow } from '../byte-window.ts';
import { BRANCH_PAGE, LEAF_PAGE, writePageHeader } from './page.ts';
import type { PageFault } from './page-index.ts';
import { PageStream, type PageSink } from './page-stream.ts';

const PAGE_SIZE = 1024;

class Recorder implements PageSink {
  readonly pages = new Map<number, string>();
  readonly faults = new Map<number, PageFault>();
  readonly skips: number[] = [];
  passed = 0;
  /** Bytes handed on. */
  size = 0;

  seen(pages: number): void {
    this.passed = pages;
  }

  page(page: number, window: ByteWindow, start: number, end: number): void {
    assert.ok(page < this.passed);
    this.pages.set(page, window.bytes.toString('latin1', start, end));
    this.size += end - start;
  }

  broken(page: number, fault: PageFault): void {
    this.faults.set(page, fault);
  }

  skipped(page: number): void {
    this.skips.push(page);
  }
}

interface Header {
  readonly id?: number;
  readonly flags?: number;
  readonly count?: number;
  readonly overflow?: number;
}

/** A file of `pageCount` pages with these headers, filled with bytes that tell pages apart. */
function fileOf(pageCount: number, headers: Record<number, Header>): Buffer {
  const file = Buffer.alloc(pageCount * PAGE_SIZE);
  for (let page = 0; page < pageCount; page++) {
    file.fill(64 + (page % 64), page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    file.fill(0xff, page * PAGE_SIZE, page * PAGE_SIZE + 8);
  }
  for (const [key, { id, flags = LEAF_PAGE, count = 0, overflow = 0 }] of Object.entries(headers)) {
    writePageHeader(file, Number(key) * PAGE_SIZE, { id: id ?? Number(key), flags, count, overflow });
  }
  return file;
}

function stream(file: Buffer, chunkSize: number, pageCount = file.length / PAGE_SIZE): Recorder {
  const recorder = new Recorder();
  const pages = new PageStream(PAGE_SIZE, pageCount, recorder, 1 << 26);
  for (let at = 0; at < file.length; at += chunkSize) {
    pages.write(new ByteWindow(file.subarray(at, at + chunkSize)));
  }
  pages.finish();
  return recorder;
}

test('each page that carries its number is handed on whole, whatever the chunks', () => {
  const file = fileOf(40, { 2: {}, 3: { id: 4 }, 5: { overflow: 6 }, 7: {}, 20: { overflow: 1 }, 39: {} });
  for (const chunkSize of [1, 100, 1000, 1024, 1500, 5000, file.length]) {
    const { pages, faults, skips } = stream(file, chunkSize);
    assert.deepEqual(
      [...pages.keys()].sort((a, b) => a - b),
      [2, 5, 7, 20, 39],
      `${chunkSize}`,
    );
    for (const [page, bytes] of pages) {
      assert.equal(bytes, file.toString('latin1', page * PAGE_SIZE, page * PAGE_SIZE + bytes.length));
    }
    assert.equal(pages.get(5)?.length, 7 * PAGE_SIZE);
    assert.equal(pages.get(20)?.length, 2 * PAGE_SIZE);
    assert.equal(faults.size + skips.length, 0);
  }
});

test('an overflow that cannot be true is a fault of its page alone', () => {
  const tooLarge = fileOf(8, {
    2: { overflow: 2, count: 60 },
    3: {},
    6: { overflow: 2 },
    7: { flags: 9, overflow: 0 },
  });
  const branch = fileOf(8, {
    2: { flags: BRANCH_PAGE, overflow: 2, count: 200 },
    4: { flags: 3, overflow: 1 },
  });
  for (const chunkSize of [700, 8192]) {
    const leaf = stream(tooLarge, chunkSize);
    assert.deepEqual([...leaf.faults.keys()], [2, 6]);
    assert.deepEqual([...leaf.pages.keys()], [3, 7]);
    assert.deepEqual([...stream(branch, chunkSize).faults.keys()], [2, 4]);
  }
});

test('what follows the last page is ignored, and a missing end named', () => {
  const file = fileOf(10, { 2: {}, 5: { overflow: 3 }, 9: {} });
  assert.deepEqual([...stream(file, 3000, 9).pages.keys()], [2, 5]);
  const cut = stream(file.subarray(0, 7 * PAGE_SIZE), 3000, 10);
  assert.deepEqual([...cut.pages.keys()], [2]);
  assert.equal(cut.faults.get(5)?.code, 'file.truncated');
});

test('pages that all claim everything behind them cost bounded work', () => {
  const pageCount = 6000;
  const headers: Record<number, Header> = {};
  for (let page = 2; page < pageCount; page++)
    headers[page] = { overflow: Math.min(pageCount - page - 1, 3000) };
  const { size, skips } = stream(fileOf(pageCount, headers), 1 << 20);
  assert.ok(skips.length > 1000);
  assert.ok(size <= 64 * 1024 * 1024 + 5 * pageCount * PAGE_SIZE, `${size}`);
});
