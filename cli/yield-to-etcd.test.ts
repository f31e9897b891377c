import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, getPriority } from 'node:os';
import { test } from 'node:test';
import { promisify } from 'node:util';

const MODULE = JSON.stringify(new URL('./yield-to-etcd.ts', import.meta.url).href);

/** Of a thread started afterwards, in a process of its own: a priority can't be taken back. */
async function priorityAfter(...args: readonly string[]): Promise<number> {
  const script = `
    import { Worker } from 'node:worker_threads';
    import { yieldToEtcd } from ${MODULE};
    yieldToEtcd(${JSON.stringify(args)});
    new Worker('import("node:os").then((os) => console.log(os.getPriority()))', { eval: true });
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return Number(stdout);
}

test('a backup lets others go first, with all its threads; other commands do not', async () => {
  const ours = getPriority();
  assert.equal(await priorityAfter('backup', 'list'), ours);
  assert.equal(await priorityAfter('restore'), ours);
  const lower = Math.max(ours, constants.priority.PRIORITY_BELOW_NORMAL);
  assert.equal(await priorityAfter('backup', 'create'), lower);
});
