import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { scratchFolder } from './scratch-folder.ts';

test('it is for its user alone, and gone afterwards', async () => {
  await using parent = await temporaryFolder();
  {
    await using folder = await scratchFolder(parent.path, 'merge');
    await writeFile(join(folder.path, 'merged.db'), 'x');
    assert.equal((await stat(folder.path)).mode & 0o777, 0o700);
  }
  assert.deepEqual(await readdir(parent.path), []);
});

test('what a killed process left is removed by the next, once nobody has written to it for ten minutes', async () => {
  await using parent = await temporaryFolder();
  await using other = await temporaryFolder();
  const gone = await endedProcess();
  const left = await madeFolder(parent, `etcdguardian-merge-${gone}-abcdef`, LONG_AGO);
  const restarted = await madeFolder(parent, `etcdguardian-verify-${process.pid}-abcdef`, LONG_AGO);
  const young = await madeFolder(parent, `etcdguardian-merge-${gone}-ghijkl`, new Date());
  const alive = await madeFolder(parent, `etcdguardian-merge-${process.ppid}-abcdef`, LONG_AGO);
  const foreign = await madeFolder(parent, `etcdguardian-merge-${gone}`, LONG_AGO);
  await using elsewhere = await scratchFolder(other.path, 'points');
  assert.ok((await readdir(parent.path)).includes(left), elsewhere.path);

  await using first = await scratchFolder(parent.path, 'points');
  await utimes(first.path, LONG_AGO, LONG_AGO);
  await using second = await scratchFolder(parent.path, 'points');
  const names = await readdir(parent.path);
  assert.deepEqual(
    [left, restarted].filter((name) => names.includes(name)),
    [],
  );
  assert.deepEqual(
    [young, alive, foreign].filter((name) => !names.includes(name)),
    [],
  );
  assert.ok((await stat(first.path)).isDirectory() && (await stat(second.path)).isDirectory());
});

const LONG_AGO = new Date(Date.now() - 11 * 60_000);

async function endedProcess(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid ?? 0;
}

async function madeFolder(parent: TemporaryFolder, name: string, at: Date): Promise<string> {
  const folder = parent.join(name);
  await mkdir(folder);
  await writeFile(join(folder, 'merged.db.part'), 'secrets');
  await utimes(join(folder, 'merged.db.part'), at, at);
  await utimes(folder, at, at);
  return name;
}
