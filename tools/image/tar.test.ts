import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstat, readFile, readlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { tar, type TarEntry, tarSize } from './tar.ts';

const text = (path: string, words: string): TarEntry => ({
  ...{ path, mode: 0o640 },
  content: { kind: 'bytes', bytes: Buffer.from(words) },
});

test('the system’s tar unpacks what was packed', async () => {
  await using folder = await temporaryFolder();
  const big = Buffer.alloc(3 * 2 ** 20 + 7, 'etcd');
  await writeFile(folder.join('big'), big);
  const deep = `${'folder/'.repeat(20)}file`;
  const long = `${'n'.repeat(180)}ame`;
  const entries: TarEntry[] = [
    { path: 'bin', mode: 0o750, content: { kind: 'folder' } },
    { path: 'bin/big', mode: 0o755, content: { kind: 'file', path: folder.join('big'), size: big.length } },
    { path: 'link', mode: 0o777, content: { kind: 'link', target: 'bin/big' } },
    { path: 'far', mode: 0o777, content: { kind: 'link', target: `/${long}` } },
    text(deep, 'deep'),
    text(long, 'long'),
    text('ümlaut', ''),
  ];
  const archive = await buffer(tar(entries));
  assert.equal(archive.length, tarSize(entries));
  execFileSync('mkdir', [folder.join('out')]);
  execFileSync('tar', ['-x', '-C', folder.join('out'), '--no-same-owner'], { input: archive });

  const out = (path: string): string => folder.join('out', path);
  assert.deepEqual(await readFile(out('bin/big')), big);
  assert.equal((await lstat(out('bin/big'))).mode & 0o777, 0o755);
  assert.equal((await lstat(out('bin'))).mode & 0o777, 0o750);
  assert.equal(await readlink(out('link')), 'bin/big');
  assert.equal(await readlink(out('far')), `/${long}`);
  assert.equal(await readFile(out(deep), 'utf8'), 'deep');
  assert.equal(await readFile(out(long), 'utf8'), 'long');
  assert.equal(await readFile(out('ümlaut'), 'utf8'), '');
});

test('the same entries make the same bytes', async () => {
  const entries = [text('a', '1'), text('b', '2')];
  assert.deepEqual(await buffer(tar(entries)), await buffer(tar(entries)));
});

test('a file that grew meanwhile is told, not packed wrongly', async () => {
  await using folder = await temporaryFolder();
  await writeFile(folder.join('growing'), 'more than three');
  const entry: TarEntry = {
    ...{ path: 'growing', mode: 0o644 },
    content: { kind: 'file', path: folder.join('growing'), size: 3 },
  };
  await assert.rejects(buffer(tar([entry])), /growing has 15 bytes, and had 3 a moment ago/);
});
