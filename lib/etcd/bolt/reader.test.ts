import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { testRandom } from '../../../test/harness/sampling.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { GuardianError, hasCode } from '../../guardian-error.ts';
import { batchOf } from './entry-batch.ts';
import { writeMetaPage } from './meta.ts';
import { writePageHeader } from './page.ts';
import { type BoltFile, openBoltFile } from './reader.ts';
import { writeBoltFile } from './writer.ts';

const PAGE_SIZE = 1024;

test('what is no database is told apart by how it fails', async () => {
  await using folder = await temporaryFolder();
  const good = await smallFile(folder.join('good.db'));
  const bigEndian = Buffer.alloc(8192);
  bigEndian.writeUInt32BE(0xed0cdaed, 16);
  bigEndian.writeUInt32BE(2, 20);
  const outside = Buffer.from(good);
  for (const id of [0, 1] as const) {
    const meta = { pageSize: PAGE_SIZE, rootPage: 999, freelistPage: undefined, pageCount: 20, txid: 9n };
    writeMetaPage(outside, id * PAGE_SIZE, id, meta);
  }
  for (const [code, bytes] of [
    ['bolt.not-a-database', Buffer.alloc(0)],
    ['bolt.not-a-database', Buffer.from('gibberish'.repeat(10_000))],
    ['bolt.big-endian', bigEndian],
    ['bolt.truncated', good.subarray(0, -1024)],
    ['bolt.corrupt', outside],
  ] as const) {
    const path = folder.join('bad.db');
    await writeFile(path, bytes);
    await assert.rejects(openBoltFile(path), (error) => hasCode(error, code) && error.message.includes(path));
  }
  await assert.rejects(openBoltFile(folder.join('none')), (error) => hasCode(error, 'disk.not-found'));
  await assert.rejects(openBoltFile(folder.path), (error) => error instanceof GuardianError);
});

test('one valid meta is enough', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const bytes = await smallFile(path);
  for (const broken of [0, 1]) {
    const copy = Buffer.from(bytes);
    copy.fill(0, broken * PAGE_SIZE, (broken + 1) * PAGE_SIZE);
    await writeFile(path, copy);
    await using file = await openBoltFile(path);
    assert.equal(await readAll(file), 300);
  }
});

test('pages that lie are refused, by name and place', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const bytes = await smallFile(path);
  const branch = findPage(bytes, 1);
  const leaf = findPage(bytes, 2);
  const cases: Record<string, [RegExp, (copy: Buffer) => void]> = {
    'another id': [/says that it is page 77/, (copy) => copy.writeUInt32LE(77, leaf)],
    'neither leaf nor branch': [/neither a branch nor a leaf/, (copy) => copy.writeUInt16LE(0x10, leaf + 8)],
    'too many elements': [/do not fit/, (copy) => copy.writeUInt16LE(65535, leaf + 10)],
    'an empty leaf': [/an empty leaf/, (copy) => copy.writeUInt16LE(0, leaf + 10)],
    'an empty branch': [/without children/, (copy) => copy.writeUInt16LE(0, branch + 10)],
    'overflow beyond the end': [/beyond the end/, (copy) => copy.writeUInt32LE(0xffffffff, leaf + 12)],
    'a key outside': [/points outside/, (copy) => copy.writeUInt32LE(0xfffffff0, leaf + 20)],
    'a value outside': [/points outside/, (copy) => copy.writeUInt32LE(0xffffffff, leaf + 28)],
    'a nested bucket': [/element 0 has the flags 1/, (copy) => copy.writeUInt32LE(1, leaf + 16)],
    'a child outside': [/not one of the file's/, (copy) => copy.writeUInt32LE(1_000_000, branch + 24)],
    'a child that is a meta': [/not one of the file's/, (copy) => copy.writeUInt32LE(1, branch + 24)],
    'itself as its child': [
      /no leaf within/,
      (copy) => {
        copy.writeUInt32LE(branch / PAGE_SIZE, branch + 24);
      },
    ],
    'a child twice': [
      /not above the last one/,
      (copy) => {
        copy.copyWithin(branch + 40, branch + 24, branch + 32);
      },
    ],
    'leaves in another order': [
      /not above the last one/,
      (copy) => {
        const first = Buffer.from(copy.subarray(branch + 24, branch + 32));
        copy.copyWithin(branch + 24, branch + 40, branch + 48);
        first.copy(copy, branch + 40);
      },
    ],
  };
  for (const [name, [message, damage]] of Object.entries(cases)) {
    const copy = Buffer.from(bytes);
    damage(copy);
    await writeFile(path, copy);
    await using file = await openBoltFile(path);
    await assert.rejects(
      readAll(file),
      (error) =>
        hasCode(error, 'bolt.corrupt') && error.message.includes(path) && message.test(error.message),
      name,
    );
  }
});

test('a leaf that claims the whole file as its overflow is not read into memory', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const pageCount = 1_000_000;
  const bytes = Buffer.alloc(3 * PAGE_SIZE);
  for (const id of [0, 1] as const) {
    writeMetaPage(bytes, id * PAGE_SIZE, id, {
      pageSize: PAGE_SIZE,
      rootPage: 2,
      freelistPage: undefined,
      pageCount,
      txid: 2n,
    });
  }
  writePageHeader(bytes, 2 * PAGE_SIZE, { id: 2, flags: 2, count: 1, overflow: pageCount - 3 });
  await writeFile(path, bytes);
  await truncate(path, pageCount * PAGE_SIZE);
  await assert.rejects(
    openBoltFile(path),
    (error) => hasCode(error, 'bolt.corrupt') && error.message.includes('more than any etcd'),
  );
});

test('damage anywhere either shows as an error of ours or not at all', async () => {
  const random = testRandom('reader');
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const bytes = await smallFile(path);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 700; round++) {
    const copy = Buffer.from(bytes);
    for (let flips = random.integer(1, 4); flips > 0; flips--) {
      // Headers and elements are where it hurts most.
      const page = random.integer(2, copy.length / PAGE_SIZE) * PAGE_SIZE;
      const at = page + random.integer(0, random.pick([16, 64, PAGE_SIZE]));
      copy[at] = random.integer(0, 256);
    }
    await writeFile(path, copy);
    const outcome = await openAndRead(path);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.deepEqual([...outcomes.keys()].sort(), ['bolt.corrupt', 'read']);
});

async function openAndRead(path: string): Promise<string> {
  try {
    await using file = await openBoltFile(path);
    await readAll(file);
    await file.get('key', Buffer.from('000150'));
    await file.lastKey('key');
    return 'read';
  } catch (error) {
    if (error instanceof GuardianError) return error.code;
    throw error;
  }
}

async function smallFile(path: string): Promise<Buffer> {
  const entries = Array.from({ length: 300 }, (_, index) => {
    const key = Buffer.from(String(index).padStart(6, '0'));
    return [key, Buffer.alloc(index % 60 === 0 ? 3000 : 100)] as const;
  });
  await writeBoltFile(path, [{ name: 'key', entries: [batchOf(entries)] }], {
    pageSize: PAGE_SIZE,
    trailer: false,
  });
  return readFile(path);
}

/** The offset of the first page with these flags. */
function findPage(bytes: Buffer, flags: number): number {
  for (let page = 2 * PAGE_SIZE; ; page += PAGE_SIZE) {
    if (bytes.readUInt16LE(page + 8) === flags && bytes.readUInt32LE(page) === page / PAGE_SIZE) return page;
  }
}

async function readAll(file: BoltFile): Promise<number> {
  let count = 0;
  for (const bucket of file.bucketNames) for await (const batch of file.entries(bucket)) count += batch.count;
  return count;
}
