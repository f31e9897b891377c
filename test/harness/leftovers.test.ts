import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { startProcess } from './server-process.ts';

const program = `
  import { startProcess } from ${JSON.stringify(join(import.meta.dirname, 'server-process.ts'))};
  import { temporaryFolder } from ${JSON.stringify(join(import.meta.dirname, 'temporary-folder.ts'))};
  const folder = await temporaryFolder();
  const server = await startProcess('sleep', ['1000']);
  console.log(JSON.stringify({ pid: server.pid, folder: folder.path }));
`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  test(`a test process ended by ${signal} leaves no server and no folder behind`, async () => {
    await using victim = await startProcess(process.execPath, ['--input-type=module', '--eval', program]);
    const { pid, folder } = JSON.parse(await victim.line(/^\{/)) as { pid: number; folder: string };
    assert.ok(isAlive(pid) && existsSync(folder));
    victim.signal(signal);
    assert.equal(await victim.exited, signal);
    await eventually('server and folder are gone', () => !isAlive(pid) && !existsSync(folder));
  });
}
