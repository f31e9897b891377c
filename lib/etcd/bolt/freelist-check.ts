import type { Buffer } from 'node:buffer';
import type { ProblemList } from '../problem-list.ts';
import { FIRST_DATA_PAGE, PAGE_HEADER_SIZE, readU64 } from './page.ts';
import { PageKind, type PageIndex } from './page-index.ts';
import type { FileShape } from './tree-walk.ts';

/**
 * Checks a stored freelist after all trees were walked: no id twice or out of range, none that is in use, and no page
 * that is neither. etcd stores none on Linux; builds for other systems do.
 *
 * `bytes` is the page's content, undefined when it was not found where the meta page says.
 */
export function checkFreelist(
  page: number,
  bytes: Buffer | undefined,
  index: PageIndex,
  shape: FileShape,
  problems: ProblemList,
): void {
  const report = (text: string, about = page): void => {
    problems.add({
      code: 'bolt.freelist',
      message: `freelist: ${text}`,
      page: about,
      offset: about * shape.pageSize,
    });
  };
  if (bytes === undefined || index.kindOf(page) !== PageKind.freelist) {
    report(`page ${page} is not a freelist`);
    return;
  }
  for (let part = page; part <= page + index.overflowOf(page); part++) {
    if (!index.reach(part)) report(`page ${part} of the freelist is in use as something else`, part);
  }
  const free = new Uint8Array(index.length);
  for (const id of freelistIds(bytes, report)) {
    if (id < FIRST_DATA_PAGE || id >= shape.pageCount) {
      report(`page ${id} is not one of the ${shape.pageCount} pages`);
    } else if (id < free.length) {
      if (free[id] === 1) report(`page ${id} is listed twice`, id);
      if (index.isReached(id)) report(`page ${id} is listed and in use`, id);
      free[id] = 1;
    }
  }
  for (let id = FIRST_DATA_PAGE; id < free.length; id++) {
    if (free[id] === 0 && !index.isReached(id)) {
      report(`page ${id} is neither listed nor in use`, id);
    }
  }
}

/** A count of 0xffff says that the real one stands before the ids, as a u64. */
function* freelistIds(bytes: Buffer, report: (text: string) => void): Generator<number> {
  let count = bytes.readUInt16LE(10);
  let at = PAGE_HEADER_SIZE;
  if (count === 0xffff && bytes.length >= at + 8) {
    count = readU64(bytes, at);
    at += 8;
  }
  const fitting = Math.floor((bytes.length - at) / 8);
  if (count > fitting) report(`claims ${count} ids, of which ${fitting} fit its pages`);
  for (let n = 0; n < Math.min(count, fitting); n++) yield readU64(bytes, at + 8 * n);
}
