import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { drillFolder } from './drill-folder.ts';
import { startProgram } from './drill-program.ts';

const endless = {
  ...{ name: 'etcd', program: process.execPath, memoryBytes: 2 ** 28 },
  args: ['--eval', 'setInterval(() => undefined, 1e6)'],
};

test('a program that somebody else kills is told from one that the drill ends itself', async () => {
  await using parent = await temporaryFolder();
  await using folder = await drillFolder(parent.path);
  {
    await using ended = await startProgram(endless, folder);
    assert.equal(ended.ended(), undefined);
  }
  assert.deepEqual(folder.killed, []);
  await using killed = await startProgram(endless, folder);
  process.kill(killed.pid, 'SIGKILL');
  await killed.exited;
  assert.equal(killed.ended(), 'SIGKILL');
  assert.deepEqual(folder.killed, ['etcd']);
});

test("half a byte of a program's memory is no reason for Go to end: the limit is a whole number", async () => {
  await using parent = await temporaryFolder();
  await using folder = await drillFolder(parent.path);
  const args = ['--eval', 'console.log(process.env.GOMEMLIMIT)'];
  await using told = await startProgram({ ...endless, args, memoryBytes: 2 ** 28 + 0.5 }, folder);
  await told.exited;
  assert.deepEqual(await told.lastWords(), [`${2 ** 28 + 1}`]);
});
