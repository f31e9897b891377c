import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { forgeSnapshot, ForgedHistory } from '../../../test/harness/forged-snapshot.ts';
import { runProgram } from '../../../test/harness/run-program.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { findMetas, writeMetaPage } from '../bolt/meta.ts';
import { ELEMENT_SIZE, LEAF_PAGE, PAGE_HEADER_SIZE, writePageHeader } from '../bolt/page.ts';
import { encodeRevisionKey } from './revision.ts';

const PAGE_SIZE = 4096;
/** Enough for all that is kept at first, several times. */
const GARBAGE_PAGES = 60_000;
const MOST_KIBIBYTES = 300 * 1024;

test('a file full of garbage that looks worth keeping is verified in 300 MiB', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('garbage.db');
  await writeGarbage(path);
  const fixture = join(import.meta.dirname, 'verify-process.fixture.ts');
  const told: unknown = JSON.parse(await runProgram(process.execPath, [fixture, path]));
  assert.ok(typeof told === 'object' && told !== null && 'peakKibibytes' in told && 'sound' in told);
  assert.equal(told.sound, true);
  assert.ok(Number(told.peakKibibytes) < MOST_KIBIBYTES, `${String(told.peakKibibytes)} KiB`);
});

/** A sound database, and behind it free pages with the smallest records, and with leaves of other buckets. */
async function writeGarbage(path: string): Promise<void> {
  const history = new ForgedHistory();
  for (let number = 0; number < 100; number++) history.put(`key-${number}`, { value: 'v' });
  const sound = await forgeSnapshot({ entries: history.entries, pageSize: PAGE_SIZE, trailer: false });
  const database = Buffer.from(sound);
  const first = database.length / PAGE_SIZE;
  const found = findMetas(database);
  assert.ok(found !== undefined && found !== 'big-endian' && found.metas[0] !== undefined);
  for (const page of [0, 1] as const) {
    const meta = { ...found.metas[0], txid: 9n - BigInt(page), pageCount: first + GARBAGE_PAGES };
    writeMetaPage(database, page * PAGE_SIZE, page, meta);
  }
  await using file = await open(path, 'w');
  await file.write(database);
  const pages = Buffer.alloc(256 * PAGE_SIZE);
  for (let done = 0; done < GARBAGE_PAGES; done += 256) {
    const count = Math.min(256, GARBAGE_PAGES - done);
    for (let nth = 0; nth < count; nth++) {
      const page = pages.subarray(nth * PAGE_SIZE, (nth + 1) * PAGE_SIZE).fill(0);
      const id = first + done + nth;
      if (id % 4 === 0) plainLeaf(page, id);
      else recordLeaf(page, id);
    }
    await file.write(pages, 0, count * PAGE_SIZE);
  }
}

const REVISION_KEY_SIZE = 17;
const RECORDS = Math.floor((PAGE_SIZE - PAGE_HEADER_SIZE) / (ELEMENT_SIZE + REVISION_KEY_SIZE));

/** Records without a value, as a bump of revisions writes them. */
function recordLeaf(page: Buffer, id: number): void {
  writePageHeader(page, 0, { id, flags: LEAF_PAGE, count: RECORDS, overflow: 0 });
  for (let nth = 0; nth < RECORDS; nth++) {
    const element = PAGE_HEADER_SIZE + nth * ELEMENT_SIZE;
    const key = PAGE_HEADER_SIZE + RECORDS * ELEMENT_SIZE + nth * REVISION_KEY_SIZE;
    page.writeUInt32LE(key - element, element + 4);
    page.writeUInt32LE(REVISION_KEY_SIZE, element + 8);
    encodeRevisionKey({ main: BigInt(id * RECORDS + nth), sub: 0n }).copy(page, key);
  }
}

function plainLeaf(page: Buffer, id: number): void {
  writePageHeader(page, 0, { id, flags: LEAF_PAGE, count: 1, overflow: 0 });
  page.writeUInt32LE(ELEMENT_SIZE, PAGE_HEADER_SIZE + 4);
  page.writeUInt32LE(4, PAGE_HEADER_SIZE + 8);
  page.writeUInt32LE(4000, PAGE_HEADER_SIZE + 12);
  page.write('user', PAGE_HEADER_SIZE + ELEMENT_SIZE);
}
