import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemList } from '../problem-list.ts';
import { checkFreelist } from './freelist-check.ts';
import { FREELIST_PAGE, PAGE_HEADER_SIZE, writePageHeader, writeU64 } from './page.ts';
import { PageIndex, PageKind } from './page-index.ts';

const FREELIST = 4;
const SHAPE = { pageSize: 1024, pageCount: 8 };

/** What is found wrong with a freelist of these ids, in a file of 8 pages of which 2, 3 and 5 are in use. */
function faultsOf(
  ids: readonly number[],
  details: { count?: number; kind?: PageKind; long?: boolean } = {},
): string[] {
  const { count = ids.length, kind = PageKind.freelist, long = false } = details;
  const index = new PageIndex();
  index.grow(SHAPE.pageCount);
  for (const page of [2, 3, 5]) index.reach(page);
  index.note(FREELIST, kind, 0, 0, 0);
  const page = Buffer.alloc(SHAPE.pageSize);
  writePageHeader(page, 0, { id: FREELIST, flags: FREELIST_PAGE, count: long ? 0xffff : count, overflow: 0 });
  let at = PAGE_HEADER_SIZE;
  if (long) writeU64(page, at, count);
  if (long) at += 8;
  for (const [nth, id] of ids.entries()) writeU64(page, at + 8 * nth, id);
  const problems = new ProblemList();
  checkFreelist(FREELIST, page, index, SHAPE, problems);
  assert.ok(problems.first.every(({ code }) => code === 'bolt.freelist'));
  return problems.first.map(({ message }) => message);
}

test('a freelist of just the pages that are not in use is sound, in both forms', () => {
  assert.deepEqual(faultsOf([6, 7]), []);
  assert.deepEqual(faultsOf([6, 7], { long: true }), []);
});

test('every way in which a freelist and the trees can disagree is told', () => {
  assert.deepEqual(faultsOf([6, 7, 6]), ['freelist: page 6 is listed twice']);
  assert.deepEqual(faultsOf([5, 6, 7]), ['freelist: page 5 is listed and in use']);
  assert.deepEqual(faultsOf([4, 6, 7]), ['freelist: page 4 is listed and in use']);
  assert.deepEqual(faultsOf([6]), ['freelist: page 7 is neither listed nor in use']);
  assert.deepEqual(faultsOf([1, 6, 7]), ['freelist: page 1 is not one of the 8 pages']);
  assert.deepEqual(faultsOf([6, 7, 2 ** 50]), ['freelist: page 1125899906842624 is not one of the 8 pages']);
  assert.deepEqual(faultsOf([], { kind: PageKind.leaf }), ['freelist: page 4 is not a freelist']);
});

test('a count that no page could hold is told, and no more is read than is there', () => {
  const [first] = faultsOf([6, 7], { count: 2 ** 40, long: true });
  assert.equal(first, 'freelist: claims 1099511627776 ids, of which 125 fit its pages');
});
