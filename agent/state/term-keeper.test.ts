import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { openTermKeeper } from './term-keeper.ts';

const folder = await mkdtemp(join(tmpdir(), 'terms-'));
after(() => rm(folder, { recursive: true }));

test('terms that are taken at once are all different, and the highest is kept', async () => {
  const path = join(folder, 'state/term.json');
  const keeper = await openTermKeeper(path);
  const taken = await Promise.all(Array.from({ length: 5 }, (_, at) => keeper.take(`pod-${at}`, 0n)));
  assert.deepEqual(
    taken.map(({ term }) => term),
    [1n, 2n, 3n, 4n, 5n],
  );
  assert.deepEqual(
    taken.map(({ previousHolder }) => previousHolder),
    ['', 'pod-0', 'pod-1', 'pod-2', 'pod-3'],
  );
  const again = await openTermKeeper(path);
  assert.deepEqual([again.term, again.holder], [5n, 'pod-4']);
  assert.equal((await again.take('late', 1n << 62n)).term, 1n << 62n);
});

test('a term counts only once it is on disk', async () => {
  const path = join(folder, 'blocked/term.json');
  const keeper = await openTermKeeper(path);
  await writeFile(join(folder, 'blocked'), 'in the way');
  await assert.rejects(keeper.take('pod', 0n), { code: 'agent.state', retryable: true });
  await assert.rejects(keeper.admit({ operation: 'x', term: 3n }), { code: 'agent.state' });
  assert.equal(keeper.term, 0n);
});

test('a file that nobody here wrote is no reason to begin anew', async () => {
  const path = join(folder, 'odd.json');
  for (const text of ['', '{}', '{"term":"-1","holder":""}', 'nonsense']) {
    await writeFile(path, text);
    await assert.rejects(openTermKeeper(path), { code: 'agent.state', message: /odd\.json/ });
  }
});

test('operations that could name other files, and terms that are none, are refused', async () => {
  const keeper = await openTermKeeper(join(folder, 'fence.json'));
  const operations = ['', '../x', 'a/b', '.hidden', 'x'.repeat(129), 'a\nb'];
  for (const operation of operations)
    await assert.rejects(keeper.admit({ operation, term: 1n }), { code: 'agent.request' });
  for (const term of [0n, -1n, 1n << 64n])
    await assert.rejects(keeper.admit({ operation: 'x', term }), { code: 'agent.request' });
  await assert.rejects(keeper.admit(undefined), { code: 'agent.request' });
  assert.equal(keeper.term, 0n);
});

test('while a restore is under way, terms are for that one alone, and nobody else raises them', async () => {
  const keeper = await openTermKeeper(join(folder, 'reserved.json'));
  let underWay: string | undefined;
  keeper.reserve(() => underWay);
  await keeper.take('backups', 0n, 'backups');
  underWay = 'first';
  await assert.rejects(keeper.take('rival', 9n, 'second'), { code: 'restore.busy', message: /first/ });
  await assert.rejects(keeper.take('backups', 0n, 'backups'), { code: 'restore.busy' });
  await assert.rejects(keeper.take('of an older version', 0n), { code: 'restore.busy' });
  await assert.rejects(keeper.admit({ operation: 'second', term: 9n }), { code: 'restore.busy' });
  assert.deepEqual([keeper.term, keeper.holder, keeper.operation], [1n, 'backups', 'backups']);
  // Whoever comes later for the same one takes over, also with a term that was taken elsewhere.
  assert.equal((await keeper.take('successor', 0n, 'first')).term, 2n);
  await keeper.admit({ operation: 'first', term: 7n });
  assert.deepEqual([keeper.term, keeper.operation], [7n, 'first']);
  underWay = undefined;
  assert.equal((await keeper.take('rival', 0n, 'second')).term, 8n);
});

test('what begins under a term begins before the next one is taken, or not at all', async () => {
  const keeper = await openTermKeeper(join(folder, 'begins.json'));
  let underWay: string | undefined;
  keeper.reserve(() => underWay);
  const begin = (operation: string, term: bigint): Promise<void> =>
    keeper.admitted({ operation, term }, async () => {
      await Promise.resolve();
      underWay = operation;
    });
  await keeper.take('one', 0n, 'first');
  const [began, taken] = await Promise.allSettled([begin('first', 1n), keeper.take('rival', 0n, 'second')]);
  assert.equal(began.status, 'fulfilled');
  assert.ok(taken.status === 'rejected' && hasCode(taken.reason, 'restore.busy'));
  underWay = undefined;
  await keeper.take('rival', 0n, 'second');
  await assert.rejects(begin('first', 1n), { code: 'agent.stale-term' });
  assert.equal(underWay, undefined);
});
