import assert from 'node:assert/strict';
import { appendFile, copyFile, readFile, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { testRandom } from '../../../test/harness/sampling.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { type BucketEdit, editBoltFile } from './editor.ts';
import { batchOf, type EntryBatch, keyOf, valueOf } from './entry-batch.ts';
import { openBoltFile } from './reader.ts';
import { writeBoltFile } from './writer.ts';

/** Keys are ascending numbers. */
type Content = Map<string, [number, Buffer][]>;

for (const pageSize of [1024, 4096, 65536]) {
  test(`buckets are replaced and appended to, pages of ${pageSize} bytes`, async () => {
    const random = testRandom(`editor ${pageSize}`);
    await using folder = await temporaryFolder();
    for (let round = 0; round < 12; round++) {
      const path = folder.join(`${round}.db`);
      const content: Content = new Map();
      for (const name of ['alarm', 'key', 'meta']) {
        content.set(name, someEntries(random, 0, random.pick([0, 1, 5, 300, 3000])));
      }
      await writeBoltFile(
        path,
        [...content].map(([name, entries]) => ({ name, entries: pack(entries) })),
        {
          pageSize,
        },
      );
      for (let transaction = 0; transaction < 4; transaction++) {
        const before = await readFile(path);
        const pageCount = (await openedMeta(path)).pageCount;
        const meta = await editBoltFile(path, randomEdits(random, content));
        assert.deepEqual(await openedMeta(path), meta);
        assert.deepEqual(await contentOf(path), content);
        // Nothing but the metas has changed in what was there.
        const after = await readFile(path);
        assert.equal(after.length, meta.pageCount * pageSize);
        assert.ok(
          after
            .subarray(2 * pageSize, pageCount * pageSize)
            .equals(before.subarray(2 * pageSize, pageCount * pageSize)),
        );
      }
    }
  });
}

test('an entry behind ten thousands costs a few pages', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const entries = someEntries(testRandom('cost'), 0, 30_000);
  await writeBoltFile(path, [{ name: 'key', entries: pack(entries) }]);
  const { pageCount } = await openedMeta(path);
  const meta = await editBoltFile(path, new Map([['key', { append: pack([[40_000, Buffer.alloc(0)]]) }]]));
  assert.ok(meta.pageCount - pageCount <= 6, `${meta.pageCount - pageCount} pages`);
  assert.equal((await contentOf(path)).get('key')?.length, 30_001);
});

test('until a meta is written the file is what it was, and then either meta will do', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const content: Content = new Map([['key', someEntries(testRandom('crash'), 0, 500)]]);
  await writeBoltFile(path, [{ name: 'key', entries: pack(content.get('key') ?? []) }], { trailer: false });
  const before = await readFile(path);
  await editBoltFile(path, new Map([['key', { append: pack([[9999, Buffer.from('x')]]) }]]));
  const after = await readFile(path);
  const expected = new Map([
    ['key', [...(content.get('key') ?? []), [9999, Buffer.from('x')] as [number, Buffer]]],
  ]);

  // As a crash leaves it: new pages, and of the metas none, one, a torn one and one, or both.
  for (const [pages, holds] of [
    [[before, before], content],
    [[before, after], expected],
    [[before, undefined], content],
    [[undefined, after], expected],
    [[after, undefined], expected],
    [[after, after], expected],
  ] as const) {
    const crashed = Buffer.from(after);
    for (const [id, from] of pages.entries()) {
      if (from === undefined) crashed.fill(0xaa, id * 4096 + 20, (id + 1) * 4096);
      else from.copy(crashed, id * 4096, id * 4096, (id + 1) * 4096);
    }
    await writeFile(path, crashed);
    assert.deepEqual(await contentOf(path), holds);
  }
});

test('a trailer and what follows the last page are cut off', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  await writeBoltFile(path, [{ name: 'key', entries: [] }]);
  await appendFile(path, Buffer.alloc(100_000));
  const meta = await editBoltFile(path, new Map());
  assert.equal((await stat(path)).size, meta.pageCount * meta.pageSize);
});

test('what is appended must be above what is there', async () => {
  await using folder = await temporaryFolder();
  const [path, copy] = [folder.join('x.db'), folder.join('y.db')];
  await writeBoltFile(path, [{ name: 'key', entries: pack(someEntries(testRandom('order'), 0, 50)) }]);
  for (const key of [3, 49]) {
    await copyFile(path, copy);
    const edits = new Map([['key', { append: pack([[key, Buffer.alloc(0)]]) }]]);
    await assert.rejects(editBoltFile(copy, edits), (error) => hasCode(error, 'bolt.order'));
  }
});

function randomEdits(random: SeededRandom, content: Content): Map<string, BucketEdit> {
  const edits = new Map<string, BucketEdit>();
  for (const name of ['alarm', 'key', 'lease', 'meta', 'members']) {
    const old = content.get(name) ?? [];
    const from = (old.at(-1)?.[0] ?? -1) + 1;
    if (random.integer(0, 3) === 0) {
      const entries = someEntries(random, 0, random.pick([0, 2, 100]));
      content.set(name, entries);
      edits.set(name, { replace: pack(entries) });
    } else if (random.integer(0, 2) === 0) {
      const entries = someEntries(random, from, random.pick([0, 1, 1, 30, 2000]));
      content.set(name, [...old, ...entries]);
      edits.set(name, { append: pack(entries) });
    }
  }
  return edits;
}

function someEntries(random: SeededRandom, from: number, count: number): [number, Buffer][] {
  return Array.from({ length: count }, (_, index) => [
    from + index,
    Buffer.from(random.bytes(random.integer(0, 60) === 0 ? random.integer(0, 9000) : random.integer(0, 50))),
  ]);
}

function* pack(entries: readonly [number, Buffer][]): Generator<EntryBatch> {
  for (let at = 0; at < entries.length; at += 100) {
    yield batchOf(entries.slice(at, at + 100).map(([number, value]) => [keyFor(number), value]));
  }
}

function keyFor(number: number): Buffer {
  const key = Buffer.alloc(9, '_');
  key.writeUInt32BE(number, 4);
  return key;
}

async function openedMeta(path: string): Promise<{ pageCount: number; pageSize: number }> {
  await using file = await openBoltFile(path);
  return file.meta;
}

async function contentOf(path: string): Promise<Content> {
  await using file = await openBoltFile(path);
  const content: Content = new Map();
  for (const name of file.bucketNames) {
    const entries: [number, Buffer][] = [];
    for await (const batch of file.entries(name)) {
      for (let index = 0; index < batch.count; index++) {
        entries.push([keyOf(batch, index).readUInt32BE(4), Buffer.from(valueOf(batch, index))]);
      }
    }
    content.set(name, entries);
  }
  return content;
}
