import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { drillFolder, removeLeftovers } from './drill-folder.ts';

const NOW = new Date();

test("a folder of a drill that runs is nobody's leftover, and goes at its end", async () => {
  await using work = await temporaryFolder();
  let path: string;
  {
    await using drill = await drillFolder(work.join('made', 'below'));
    path = drill.path;
    assert.deepEqual(await removeLeftovers(work.join('made', 'below'), NOW), []);
    assert.ok(existsSync(path));
  }
  assert.equal(existsSync(path), false);
});

test('what a drill left whose process is gone is removed, with the program that still runs in it', async () => {
  await using work = await temporaryFolder();
  const folder = await leftBy(work.path, { pid: 2 ** 22 - 1, startedAt: '1' });
  const program = spawn('sleep', ['600'], { cwd: folder, stdio: 'ignore' });
  await once(program, 'spawn');
  const ended = once(program, 'exit');
  assert.deepEqual(await removeLeftovers(work.path, NOW), [folder]);
  assert.deepEqual((await ended)[1], 'SIGKILL');
  assert.deepEqual(await readdir(work.path), []);
});

test('a number that was given to another process since is no owner', async () => {
  await using work = await temporaryFolder();
  const folder = await leftBy(work.path, { startedAt: '1' });
  assert.deepEqual(await removeLeftovers(work.path, NOW), [folder]);
});

test('what cannot be told to be left over is kept for a day', async () => {
  await using work = await temporaryFolder();
  const elsewhere = await leftBy(work.path, { pid: 1, startedAt: '1', pidNamespace: 'pid:[1]' });
  const unowned = work.join('etcdguardian-drill-unowned');
  await mkdir(unowned);
  await mkdir(work.join('etcd-of-others'));
  assert.deepEqual(await removeLeftovers(work.path, NOW), []);
  const before = new Date(NOW.getTime() - 25 * 3_600_000);
  for (const folder of [elsewhere, unowned]) await utimes(folder, before, before);
  assert.deepEqual((await removeLeftovers(work.path, NOW)).sort(), [elsewhere, unowned].sort());
  assert.deepEqual(await readdir(work.path), ['etcd-of-others']);
});

/** A folder as another drill left it: its owner is this process but for what is given. */
async function leftBy(work: string, owner: Readonly<Record<string, unknown>>): Promise<string> {
  await using drill = await drillFolder(work);
  const own = JSON.parse(await readFile(`${drill.path}/owner.json`, 'utf8')) as Readonly<
    Record<string, unknown>
  >;
  const folder = `${work}/etcdguardian-drill-${Object.keys(owner).join('-')}`;
  await mkdir(folder);
  await writeFile(`${folder}/owner.json`, JSON.stringify({ ...own, ...owner }));
  return folder;
}
