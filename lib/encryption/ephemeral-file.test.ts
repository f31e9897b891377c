import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, readdir, readlink } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { openEphemeralFile } from './ephemeral-file.ts';

test('chunks come back as they were appended, in any order', async () => {
  await using folder = await temporaryFolder();
  await using file = await openEphemeralFile(folder.path);
  const chunks = [0, 1, 28, 1000, 1 << 20].map((length) => randomBytes(length));
  const offsets: number[] = [];
  for (const chunk of chunks) offsets.push(await file.append(chunk));
  assert.deepEqual(offsets, [0, 0, 1, 29, 1029]);
  for (const [index, chunk] of [...chunks.entries()].reverse().slice(0, -1)) {
    assert.deepEqual(await file.read(offsets[index] ?? -1, chunk.length), chunk);
  }
});

test('appending in parallel keeps chunks apart', async () => {
  await using folder = await temporaryFolder();
  await using file = await openEphemeralFile(folder.path);
  const chunks = Array.from({ length: 50 }, () => randomBytes(10_000));
  const offsets = await Promise.all(chunks.map((chunk) => file.append(chunk)));
  for (const [index, offset] of offsets.entries()) {
    assert.deepEqual(await file.read(offset, 10_000), chunks[index]);
  }
});

test('the file has no name, and what it holds is not the plaintext', async () => {
  await using folder = await temporaryFolder();
  await using file = await openEphemeralFile(folder.path);
  const secret = Buffer.alloc(1000, 'secret ');
  await file.append(secret);
  assert.deepEqual(await readdir(folder.path), []);
  const raw = await contentOfUnnamedFile(folder.path);
  assert.equal(raw.length, 1000);
  assert.equal(raw.includes('secret'), false);
});

test('only a whole chunk can be read', async () => {
  await using folder = await temporaryFolder();
  await using file = await openEphemeralFile(folder.path);
  await file.append(randomBytes(100));
  await assert.rejects(file.read(0, 99), RangeError);
  await assert.rejects(file.read(1, 99), RangeError);
});

test('bytes that the disk changed are noticed', async () => {
  await using folder = await temporaryFolder();
  await using file = await openEphemeralFile(folder.path);
  const [first, second] = [await file.append(randomBytes(100)), await file.append(randomBytes(100))];
  await flipInUnnamedFile(folder.path, 150);
  assert.equal((await file.read(first, 100)).length, 100);
  await assert.rejects(file.read(second, 100), { code: 'spool.corrupt' });
});

test('a folder that is not there is told by name', async () => {
  await using folder = await temporaryFolder();
  const missing = folder.join('missing');
  await assert.rejects(openEphemeralFile(missing), { code: 'spool.failed', message: new RegExp(missing) });
});

test('no more room is told as such, and what was written before can still be read', async () => {
  // A limit on the size of files, which any user may set, answers a write part-way like a full disk does.
  await using folder = await temporaryFolder();
  const script = `
    import { openEphemeralFile } from ${JSON.stringify(import.meta.resolve('./ephemeral-file.ts'))};
    await using file = await openEphemeralFile(${JSON.stringify(folder.path)});
    const first = await file.append(Buffer.alloc(20_000, 1));
    const refused = await file.append(Buffer.alloc(20_000, 2)).catch((error) => error.code);
    const back = await file.read(first, 20_000);
    console.log(refused, back.every((byte) => byte === 1));`;
  const limited = [
    '-c',
    'ulimit -f 32 && exec "$0" "$@"',
    process.execPath,
    '--input-type=module',
    '-e',
    script,
  ];
  const { stdout } = await promisify(execFile)('bash', limited);
  assert.equal(stdout, 'spool.full true\n');
});

/** Through /proc, as nobody without this process' rights could. */
async function unnamedFile(folder: string): Promise<string> {
  for (const name of await readdir('/proc/self/fd')) {
    const path = `/proc/self/fd/${name}`;
    const target = await readlink(path).catch(() => '');
    if (target.startsWith(`${folder}/`)) return path;
  }
  throw new Error('no open file there');
}

async function contentOfUnnamedFile(folder: string): Promise<Buffer> {
  await using handle = await open(await unnamedFile(folder), 'r');
  return await handle.readFile();
}

/** What is there is random: only a flipped bit is another byte for sure. */
async function flipInUnnamedFile(folder: string, offset: number): Promise<void> {
  await using handle = await open(await unnamedFile(folder), 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, offset);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  await handle.write(byte, 0, 1, offset);
}
