import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const PROGRAM = [process.execPath, join(import.meta.dirname, 'main.ts')] as const;
/** More than a pipe takes, and less than an argument may have. */
const LONG = 'x'.repeat(120_000);

test('whoever takes their time to read gets all of it', async () => {
  // After its first letter the reader rests for longer than the program lingers.
  const reader = '{ IFS= read -r -N 1 first; printf %s "$first"; sleep 1; cat; }';
  const script = `set -o pipefail; "$0" "$@" 2>&1 >/dev/null | ${reader}`;
  const child = spawn('bash', ['-c', script, ...PROGRAM, LONG], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [told, end] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  assert.ok(told.includes(`'${LONG}'`), `${told.length} characters`);
  assert.deepEqual(end, [2, null]);
});

test('what came of it is told by the status, also where nobody reads any more', async () => {
  const [program, main] = PROGRAM;
  const child = spawn(program, [main, 'no-such-command'], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.destroy();
  assert.deepEqual(await once(child, 'exit'), [2, null]);
});

test('a disk that is full for the log ends nothing, and is told', async () => {
  const [program, main] = PROGRAM;
  const run = async (where: string, ...args: string[]): Promise<readonly [string, number | null]> => {
    const script = `exec "$0" "$@" ${where}`;
    const child = spawn('bash', ['-c', script, program, main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, err, end] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    return [out + err, end[0] as number | null];
  };
  const [told, status] = await run('>/dev/full', '--help');
  assert.match(told, /^etcdguardian: the output could not be written: .*ENOSPC.*\n$/);
  assert.equal(status, 1);
  assert.deepEqual(await run('2>/dev/full', 'no-such-command'), ['', 2]);
});
