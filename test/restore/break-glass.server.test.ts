import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { breakGlass } from '../harness/break-glass.ts';
import { needs } from '../harness/tools.ts';

const NEEDS = needs('etcd 3.6.16', 'versitygw');
const outcome = z.object({
  operation: z.string(),
  outcome: z.string(),
  nodes: z.array(z.object({ node: z.string(), state: z.string(), previousDataDir: z.string() })),
});

test('a cluster is planned, restored, looked at and cleaned up by its agents alone', NEEDS, async () => {
  await using at = await breakGlass();
  const { scene, cli, store, agents } = at;
  const restore = ['restore', 'cluster', ...agents, ...store, '--no-quiesce'];

  const planned = await cli.run(restore);
  assert.equal(planned.status, 0, planned.stderr);
  assert.match(planned.stdout, /Nothing was done/);
  assert.match(planned.stderr, /node-1: member member-1/);
  assert.match(planned.stderr, /lost: 1 revision/);
  assert.equal(await scene.get('/registry/a'), 'new');
  const nothing = await cli.run(['restore', 'status', ...agents]);
  assert.match(nothing.stdout, /knows of a restore/);

  const done = await cli.json(outcome, [...restore, '--yes']);
  assert.equal(done.outcome, 'restored');
  assert.equal(await scene.get('/registry/a'), 'old');
  assert.notEqual(done.nodes[0]?.previousDataDir, '');

  const status = await cli.run(['restore', 'status', ...agents]);
  assert.equal(status.status, 0, status.stderr);
  assert.match(status.stdout, /node-1 +Resumed/);
  assert.match(status.stdout, new RegExp(`restore clean-up ${done.operation}`));

  // What is decided can't be decided otherwise.
  const otherwise = await cli.run(['restore', 'settle', done.operation, '--roll-back', ...agents]);
  assert.match(otherwise.stdout, /\[restore\.(committed|order)\]/);
  assert.equal(otherwise.status, 1);

  const cleaned = await cli.run(['restore', 'clean-up', done.operation, ...agents]);
  assert.equal(cleaned.status, 0, cleaned.stderr);
  assert.match(cleaned.stdout, /node-1 +CleanedUp/);
});

test('what stands in the way is told, and nothing is begun', NEEDS, async () => {
  await using at = await breakGlass();
  const { scene, cli, store, agents } = at;
  // There is no API server on this node, and nobody said that it needs none.
  const told = await cli.fails(1, 'restore.no-api-server', [
    'restore',
    'cluster',
    ...agents,
    ...store,
    '--yes',
  ]);
  assert.match(told, /in the way: /);
  const away = ['--agent', 'node-2=127.0.0.1:1', ...agents];
  await cli.fails(6, 'restore.agent-away', [
    'restore',
    'cluster',
    ...away,
    ...store,
    '--no-quiesce',
    '--yes',
  ]);
  assert.equal((await cli.run(['restore', 'status', ...away])).status, 6);
  await cli.fails(2, 'usage.agent', ['restore', 'status', '--credentials', scene.folder.join('break-glass')]);
  await cli.fails(2, 'usage.credentials', ['restore', 'status', ...agents.slice(0, 2)]);
  await cli.fails(4, 'restore.unknown', ['restore', 'settle', 'no-such', '--commit', ...agents]);
  await cli.fails(2, 'usage.settle', ['restore', 'settle', 'no-such', ...agents]);
  assert.equal(await scene.get('/registry/a'), 'new');
});

test('Ctrl-C before anything is stopped costs nothing', NEEDS, async () => {
  await using at = await breakGlass();
  const { scene, cli, store, agents } = at;
  const leading = new AbortController();
  leading.abort(new Error('Ctrl-C'));
  const args = ['restore', 'cluster', ...agents, ...store, '--no-quiesce', '--yes'];
  assert.equal((await cli.run(args, { signal: leading.signal })).status, 130);
  assert.equal(await scene.get('/registry/a'), 'new');
});

test('a dead member is rescued into the store, and restored from there', NEEDS, async () => {
  await using at = await breakGlass();
  const { scene, cli, store } = at;
  const { dataDir, folder } = scene;
  const rescue = ['rescue', '--data-dir', dataDir, '--out', folder.join('rescued.db')];
  await cli.fails(1, 'rescue.in-use', [...rescue, ...store]);
  await scene.pods[Symbol.asyncDispose]();
  const answer = z.object({
    backup: z.string(),
    currentRevision: z.string(),
    onlyInLog: z.object({ writes: z.int() }),
  });
  const rescued = await cli.json(answer, [...rescue, ...store]);
  const listed = await cli.run(['backup', 'list', ...store]);
  assert.match(listed.stdout, new RegExp(rescued.backup));
  const restored = await cli.run(['restore', ...store, '--data-dir', folder.join('restored')]);
  assert.equal(restored.status, 0, restored.stderr);
  assert.match(restored.stdout, new RegExp(rescued.backup));
  await cli.fails(1, 'rescue.exists', rescue);
  await cli.fails(4, 'rescue.no-database', [
    'rescue',
    '--data-dir',
    folder.join('no'),
    '--out',
    folder.join('x'),
  ]);
});
