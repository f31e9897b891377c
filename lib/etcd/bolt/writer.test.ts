import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { runProgram } from '../../../test/harness/run-program.ts';
import { testRandom } from '../../../test/harness/sampling.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { batchOf, type EntryBatch, keyOf, valueOf } from './entry-batch.ts';
import { openBoltFile } from './reader.ts';
import { writeBoltFile } from './writer.ts';

type Entry = readonly [key: Buffer, value: Buffer];

const PAGE_SIZES = [1024, 2048, 4096, 8192, 16384, 32768, 65536];

for (const pageSize of PAGE_SIZES) {
  test(`what is written is read again, pages of ${pageSize} bytes`, async () => {
    const random = testRandom(`bolt ${pageSize}`);
    await using folder = await temporaryFolder();
    for (let round = 0; round < (pageSize > 8192 ? 1 : 3); round++) {
      const buckets = new Map<string, Entry[]>();
      for (const name of ['alarm', 'auth', 'cluster', 'key', 'lease', 'meta']) {
        buckets.set(name, randomEntries(random, pageSize, random.pick([0, 1, 2, 3, 40, 700, 5000])));
      }
      const path = folder.join(`${round}.db`);
      const written = await writeBoltFile(
        path,
        [...buckets].map(([name, entries]) => ({ name, entries: batches(random, entries) })),
        { pageSize },
      );
      const bytes = await readFile(path);
      assert.equal(written.size, bytes.length);
      assert.equal(written.size, written.pageCount * pageSize + 32);
      const digest = createHash('sha256').update(bytes.subarray(0, -32)).digest();
      assert.deepEqual(bytes.subarray(-32), digest);
      assert.equal(written.sha256, digest.toString('hex'));
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      await assertHolds(path, buckets, random);
    }
  });
}

test('a tree of many levels is read from any key', async () => {
  const random = testRandom('levels');
  await using folder = await temporaryFolder();
  // Keys so long that a branch of 1024 bytes has no more than its four children.
  const entries = Array.from({ length: 1500 }, (_, index): Entry => [
    Buffer.from(String(index).padStart(400, '0')),
    Buffer.from('v'.repeat(index % 7)),
  ]);
  const path = folder.join('deep.db');
  await writeBoltFile(path, [{ name: 'key', entries: [batchOf(entries)] }], {
    pageSize: 1024,
    trailer: false,
  });
  await assertHolds(path, new Map([['key', entries]]), random);
  await using file = await openBoltFile(path);
  for (const at of [0, 1, 2, 3, 4, 5, 749, 1498, 1499]) {
    const key = entries[at]?.[0] ?? Buffer.alloc(0);
    assert.deepEqual(await collect(file.entries('key', { from: key })), entries.slice(at));
    const above = Buffer.concat([key, Buffer.from([0])]);
    assert.deepEqual(await collect(file.entries('key', { from: above })), entries.slice(at + 1));
    assert.equal(await file.get('key', above), undefined);
  }
});

test('no branch has a single child', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  // One entry a leaf; 1024-byte branches take 30 children.
  const counts = [1, 31, 62, 900].flatMap((from) => Array.from({ length: 32 }, (_, index) => from + index));
  for (const count of counts) {
    const entries = Array.from({ length: count }, (_, index): Entry => {
      const key = Buffer.alloc(17);
      key.writeUInt32BE(index);
      return [key, Buffer.alloc(900)];
    });
    await writeBoltFile(path, [{ name: 'key', entries: [batchOf(entries)] }], {
      pageSize: 1024,
      trailer: false,
    });
    const bytes = await readFile(path);
    for (let page = 2048; page < bytes.length; page += 1024) {
      if (bytes.readUInt16LE(page + 8) === 1)
        assert.ok(bytes.readUInt16LE(page + 10) >= 2, `${count} leaves`);
    }
  }
});

test('entries out of order, equal, without a key or with too long a key are refused, and nothing is left', async () => {
  await using folder = await temporaryFolder();
  const [a, b, none, long] = ['a', 'b', '', 'x'.repeat(32769)].map((text) => Buffer.from(text));
  const cases: [string, (readonly (Buffer | undefined)[])[]][] = [
    ['bolt.order', [[b, a]]],
    ['bolt.order', [[b], [a]]],
    ['bolt.order', [[a, a]]],
    ['bolt.order', [[a], [a]]],
    ['bolt.key-size', [[none]]],
    ['bolt.key-size', [[long]]],
  ];
  for (const [code, keys] of cases) {
    const entries = keys.map((some) => batchOf(some.map((key) => [key ?? Buffer.alloc(0), Buffer.alloc(1)])));
    await assert.rejects(
      writeBoltFile(folder.join('x.db'), [{ name: 'key', entries }]),
      (error) => hasCode(error, code) && error.message.includes('bucket key'),
    );
  }
  const unordered = ['b', 'a'].map((name) => ({ name, entries: [] }));
  await assert.rejects(writeBoltFile(folder.join('x.db'), unordered), (error) =>
    hasCode(error, 'bolt.order'),
  );
  assert.deepEqual(await readdir(folder.path), []);
});

test('a source that fails, an abort, and a folder that is missing leave nothing', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  await writeFile(path, 'what was there');
  const failing = function* (): Generator<EntryBatch> {
    yield batchOf([[Buffer.from('a'), Buffer.alloc(5000)]]);
    throw new Error('the source broke');
  };
  await assert.rejects(writeBoltFile(path, [{ name: 'key', entries: failing() }]), /the source broke/);

  const aborting = new AbortController();
  const endless = function* (): Generator<EntryBatch> {
    for (let index = 0; ; index++) {
      if (index === 50) aborting.abort(new Error('not wanted any more'));
      const key = Buffer.alloc(4);
      key.writeUInt32BE(index);
      yield batchOf([[key, Buffer.alloc(100_000)]]);
    }
  };
  await assert.rejects(
    writeBoltFile(path, [{ name: 'key', entries: endless() }], { signal: aborting.signal }),
    /not wanted any more/,
  );
  assert.deepEqual(await readdir(folder.path), ['x.db']);
  assert.equal(await readFile(path, 'utf8'), 'what was there');
  await assert.rejects(writeBoltFile(folder.join('no', 'x.db'), []), (error) =>
    hasCode(error, 'disk.not-found'),
  );
});

test('a disk that takes no more is told as such, and nothing is left', async () => {
  await using folder = await temporaryFolder();
  const script = `
    import { batchOf } from '${import.meta.resolve('./entry-batch.ts')}';
    import { writeBoltFile } from '${import.meta.resolve('./writer.ts')}';
    const entries = [batchOf([[Buffer.from('a'), Buffer.alloc(3_000_000)]])];
    await writeBoltFile('x.db', [{ name: 'key', entries }]).catch((error) => console.log(error.code, error.hint));`;
  // The shell's limit on the size of a file stands for a disk that fills up.
  const shell = 'trap "" XFSZ; ulimit -f 2000; exec "$0" --input-type=module -e "$1"';
  const output = await runProgram('/bin/sh', ['-c', shell, process.execPath, script], { cwd: folder.path });
  assert.match(output, /^disk\.full Free or add disk space/);
  assert.deepEqual(await readdir(folder.path), []);
});

function randomEntries(random: SeededRandom, pageSize: number, count: number): Entry[] {
  const keys = new Set<string>();
  while (keys.size < count) keys.add(Buffer.from(random.bytes(random.integer(1, 25))).toString('hex'));
  return [...keys]
    .sort()
    .map((hex) => [Buffer.from(hex, 'hex'), Buffer.from(random.bytes(valueSize(random, pageSize)))]);
}

/** Mostly small; now and then around one page, a quarter of it (where inlining ends), or several pages. */
function valueSize(random: SeededRandom, pageSize: number): number {
  const around = (size: number): number => Math.max(0, size - 60 + random.integer(0, 70));
  switch (random.integer(0, 40)) {
    case 0:
      return around(pageSize);
    case 1:
      return around(pageSize / 4);
    case 2:
      return around(2 * pageSize);
    case 3:
      return random.integer(0, 5 * pageSize);
    default:
      return random.integer(0, 60);
  }
}

function* batches(random: SeededRandom, entries: readonly Entry[]): Generator<EntryBatch> {
  for (let at = 0; at < entries.length;) {
    const size = random.integer(0, 300);
    yield batchOf(entries.slice(at, at + size));
    at += size;
  }
}

async function assertHolds(path: string, buckets: Map<string, Entry[]>, random: SeededRandom): Promise<void> {
  await using file = await openBoltFile(path);
  assert.deepEqual(file.bucketNames, [...buckets.keys()]);
  for (const [name, entries] of buckets) {
    assert.deepEqual(await collect(file.entries(name)), entries, name);
    assert.deepEqual(await file.lastKey(name), entries.at(-1)?.[0]);
    for (let probe = 0; probe < Math.min(4, entries.length); probe++) {
      const at = random.integer(0, entries.length);
      const [key, value] = entries[at] ?? [Buffer.alloc(0), Buffer.alloc(0)];
      assert.deepEqual(await file.get(name, key), value);
      assert.deepEqual(await collect(file.entries(name, { from: key })), entries.slice(at));
    }
    assert.equal(await file.get(name, Buffer.from('no such key')), undefined);
  }
  assert.deepEqual(await collect(file.entries('no such bucket')), []);
}

async function collect(batches: AsyncIterable<EntryBatch>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const batch of batches) {
    for (let index = 0; index < batch.count; index++) {
      entries.push([Buffer.from(keyOf(batch, index)), Buffer.from(valueOf(batch, index))]);
    }
  }
  return entries;
}
