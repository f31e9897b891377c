import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { coordinateRestore } from '../../lib/restore/cluster/coordinate-restore.ts';
import { base64 } from '../../test/harness/etcd-gateway.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { needs } from '../../test/harness/tools.ts';
import { openJournal } from '../../lib/restore/cluster/journal.ts';
import { verifyMember } from './member-etcd.ts';
import { deadlineIn } from './node-service.ts';
import { coordinatorTools, type RestoreScene, startRestoreScene } from './restore-scene.fixture.ts';

describe('a restore of one member by its agent', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: RestoreScene;
  before(async () => {
    scene = await startRestoreScene();
  });
  after(() => scene[Symbol.asyncDispose]());

  test('brings the data of the point back, proven, far above what was ever served', async () => {
    await scene.put('/registry/a', 'old');
    const backup = await scene.backUp();
    await scene.put('/registry/a', 'new');
    const seen: string[] = [];
    const order = scene.order(backup);
    const outcome = await coordinateRestore(order, [scene.participant()], coordinatorTools({}, seen));
    assert.equal(
      outcome.kind,
      'restored',
      JSON.stringify(outcome.states.get('node-1')?.problem ?? outcome, String),
    );
    assert.deepEqual(seen, ['Staging', 'Quiescing', 'Swapping', 'Verifying', 'Resuming']);
    assert.equal(await scene.get('/registry/a'), 'old');
    const { header } = await scene.client.status(scene.endpoint);
    const state = await scene.agent.restoreStatus({ operation: order.operation });
    assert.equal(header.revision, state.staged?.revision);
    assert.equal(state.state, 'Resumed');
    assert.equal(state.subject, '{"test":true}');
    // The old data is kept until someone removes it.
    assert.ok(existsSync(join(state.previousDataDir, 'member', 'snap', 'db')));
    const { term } = await scene.agent.takeTerm({ holder: 'test' });
    const fence = { operation: order.operation, term };
    assert.equal((await scene.agent.cleanUp({ fence })).state, 'CleanedUp');
    assert.deepEqual(await readdir(scene.dataDir), ['member']);
  });

  test('happens once: asked for again, it says so', async () => {
    const backup = await scene.backUp();
    const order = scene.order(backup);
    await coordinateRestore(order, [scene.participant()], coordinatorTools());
    const again = await coordinateRestore(order, [scene.participant()], coordinatorTools());
    assert.equal(again.kind, 'restored');
    assert.equal((await scene.agent.restoreStatus({ operation: order.operation })).state, 'Resumed');
  });

  test('is refused while another one is under way, and costs nothing when given up', async () => {
    const backup = await scene.backUp();
    const { header } = await scene.client.status(scene.endpoint);
    const order = scene.order(backup);
    const other = scene.order(backup);
    const outcome = await coordinateRestore(order, [scene.participant()], {
      ...coordinatorTools(),
      beforeQuiesce: async () => {
        // Its coordinator has told that it is there: without it this would last for minutes, not hours.
        await eventually('it is held', async () => {
          const { deadlineMs } = await scene.agent.restoreStatus({ operation: order.operation });
          return deadlineMs < Date.now() + 600_000;
        });
        const { term } = await scene.agent.describe({});
        const second = await coordinateRestore(other, [scene.participant()], coordinatorTools());
        assert.ok(second.kind === 'rolled-back' && hasCode(second.failure, 'restore.busy'));
        // Nor by who doesn't look first: whoever leads goes on under the same term.
        const wish = { holder: 'rival', atLeast: term + 5n, operation: other.operation };
        await assert.rejects(scene.agent.takeTerm(wish), { code: 'restore.busy' });
        await assert.rejects(
          scene.agent.cleanUp({ fence: { operation: other.operation, term: term + 5n } }),
          {
            code: 'restore.busy',
          },
        );
        assert.equal((await scene.agent.describe({})).term, term);
        throw new Error('a hook failed');
      },
    });
    assert.equal(outcome.kind, 'rolled-back');
    assert.equal(outcome.states.get('node-1')?.state, 'RolledBack');
    assert.equal((await scene.client.status(scene.endpoint)).header.clusterId, header.clusterId);
    assert.equal(existsSync(join(scene.dataDir, '.etcdguardian', order.operation)), false);
  });

  test('goes back by itself when what was staged is damaged later', async () => {
    await scene.put('/registry/b', 'kept');
    const backup = await scene.backUp();
    await scene.put('/registry/b', 'newest');
    const order = scene.order(backup);
    const outcome = await coordinateRestore(order, [scene.participant()], {
      ...coordinatorTools({ budgets: { startMs: 4_000, rollBackMs: 120_000 } }),
      beforeQuiesce: async () => {
        const db = join(scene.dataDir, '.etcdguardian', order.operation, 'staged/member/snap/db');
        await truncate(db, 4096);
      },
    });
    assert.equal(outcome.kind, 'rolled-back');
    assert.equal(await scene.get('/registry/b'), 'newest');
    assert.equal(existsSync(join(scene.dataDir, '.etcdguardian', order.operation)), false);
  });

  test('goes back at its deadline when its coordinator is gone, without being told', async () => {
    await scene.put('/registry/c', 'before');
    const backup = await scene.backUp();
    const order = scene.order(backup);
    const participant = scene.participant();
    const wish = { holder: 'restore/test', atLeast: 0n, operation: order.operation };
    const term = await participant.takeTerm(wish, new AbortController().signal);
    const fence = { operation: order.operation, term };
    const { signal } = new AbortController();
    await participant.stage(order.stage, { fence, budgetMs: 600_000 }, () => undefined, signal);
    await participant.step('quiesce', { fence, budgetMs: 600_000 }, signal);
    await participant.step('swap', { fence, budgetMs: 1_000 }, signal);
    await eventually(
      'it went back',
      async () => (await scene.agent.restoreStatus({ operation: order.operation })).state === 'RolledBack',
    );
    assert.equal(await scene.get('/registry/c'), 'before');
    const { problem } = await scene.agent.restoreStatus({ operation: order.operation });
    assert.equal(problem?.code, 'restore.deadline');
    await assert.rejects(participant.step('startEtcd', { fence, budgetMs: 1_000 }, signal), {
      code: 'restore.order',
    });
  });

  test('is verified though leases ended meanwhile, and not when something wrote', async () => {
    const gateway = (path: string, body: object): Promise<Response> =>
      fetch(`${scene.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const [lease, another] = ['4711', '4712'];
    for (const ID of [lease, another]) await gateway('lease/grant', { ID, TTL: '3600' });
    for (const key of ['/leased/a', '/leased/b'])
      await gateway('kv/put', { key: base64(key), value: base64('x'), lease });
    await gateway('kv/put', { key: base64('/leased/c'), value: base64('x'), lease: another });
    const order = scene.order(await scene.backUp());
    const { operation } = order;
    const participant = scene.participant();
    const { signal } = new AbortController();
    const term = await participant.takeTerm({ holder: 'restore/test', atLeast: 0n, operation }, signal);
    const call = { fence: { operation, term }, budgetMs: 600_000 };
    await participant.stage(order.stage, call, () => undefined, signal);
    for (const step of ['quiesce', 'swap', 'startEtcd'] as const) await participant.step(step, call, signal);
    assert.equal(await scene.get('/leased/b'), 'x');
    // As when its time has come: the keys go, and the revision moves.
    await gateway('lease/revoke', { ID: lease });
    const { staged, state } = await participant.step('verify', call, signal);
    assert.equal(state, 'Verified');
    assert.ok(staged !== undefined);
    const { header } = await scene.client.status(scene.endpoint);
    assert.equal(header.revision, staged.revision + 1n);
    const etcd = (await openJournal(dirname(scene.journal(operation)))).find(operation)?.etcd;
    assert.ok(etcd !== undefined);
    // At one revision, what comes first looks like the end of a lease.
    await gateway('kv/txn', {
      success: [
        { requestDeleteRange: { key: base64('/leased/c') } },
        { requestPut: { key: base64('/registry/written'), value: base64('by something') } },
      ],
    });
    await assert.rejects(verifyMember(etcd, staged, deadlineIn(120_000, signal)), {
      code: 'restore.written',
      message: /\/registry\/written/,
    });
    assert.equal((await participant.step('rollBack', call, signal)).state, 'RolledBack');
  });

  test('goes forward by itself after its commit', async () => {
    await scene.put('/registry/d', 'old');
    const backup = await scene.backUp();
    await scene.put('/registry/d', 'new');
    const order = scene.order(backup);
    const participant = scene.participant();
    const { signal } = new AbortController();
    const wish = { holder: 'restore/test', atLeast: 0n, operation: order.operation };
    const term = await participant.takeTerm(wish, signal);
    const fence = { operation: order.operation, term };
    await participant.stage(order.stage, { fence, budgetMs: 600_000 }, () => undefined, signal);
    for (const step of ['quiesce', 'swap', 'startEtcd', 'verify'] as const)
      await participant.step(step, { fence, budgetMs: 600_000 }, signal);
    await participant.step('commit', { fence, budgetMs: 1_000 }, signal);
    await eventually(
      'it went on',
      async () => (await scene.agent.restoreStatus({ operation: order.operation })).state === 'Resumed',
    );
    assert.equal(await scene.get('/registry/d'), 'old');
    await assert.rejects(participant.step('rollBack', { fence, budgetMs: 1_000 }, signal), {
      code: 'restore.committed',
    });
  });
});
