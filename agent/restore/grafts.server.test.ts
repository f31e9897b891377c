import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { coordinateRestore } from '../../lib/restore/cluster/coordinate-restore.ts';
import { needs } from '../../test/harness/tools.ts';
import { coordinatorTools, type RestoreScene, startRestoreScene } from './restore-scene.fixture.ts';

const OWN = [Buffer.from('/registry/secrets/own/')];
const MINE = Buffer.from('/registry/crds/mine');
const ELSEWHERE = Buffer.from('/registry/namespaces/elsewhere');

describe('a restore with objects put on top of the data', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: RestoreScene;
  before(async () => {
    scene = await startRestoreScene();
  });
  after(() => scene[Symbol.asyncDispose]());

  test('leaves what is there now, read by the agent, and brings the rest back', async () => {
    await scene.put('/registry/secrets/own/old', 'gone since, and to stay gone');
    await scene.put('/registry/pods/a', 'old');
    await scene.put('/registry/namespaces/elsewhere', 'as it was');
    const backup = await scene.backUp();
    await scene.put('/registry/crds/mine', 'installed later');
    await scene.put('/registry/secrets/own/new', 'a secret value');
    await scene.client.range('/registry/secrets/own/old');
    await fetch(`${scene.endpoint}/v3/kv/deleterange`, {
      method: 'POST',
      body: JSON.stringify({ key: Buffer.from('/registry/secrets/own/old').toString('base64') }),
    });
    await scene.put('/registry/pods/a', 'new');
    await scene.put('/registry/namespaces/elsewhere', 'as it is');

    const now = await scene.agent.readKeys({ keys: [MINE, ELSEWHERE], prefixes: OWN });
    assert.equal(now.items.length, 3);
    const grafts = now.items.map((item) => ({ ...item, whereAbsent: ELSEWHERE.equals(item.key) }));
    const order = scene.order(backup, { grafts, graftPrefixes: OWN });
    const outcome = await coordinateRestore(order, [scene.participant()], coordinatorTools());
    assert.equal(
      outcome.kind,
      'restored',
      JSON.stringify(outcome.states.get('node-1')?.problem ?? outcome, String),
    );
    assert.equal(await scene.get('/registry/pods/a'), 'old');
    assert.equal(await scene.get('/registry/namespaces/elsewhere'), 'as it was');
    assert.equal(await scene.get('/registry/crds/mine'), 'installed later');
    assert.equal(await scene.get('/registry/secrets/own/new'), 'a secret value');
    assert.equal(await scene.get('/registry/secrets/own/old'), undefined);
    const journal = await readFile(scene.journal(order.operation), 'utf8');
    for (const text of [
      'a secret value',
      Buffer.from('a secret value').toString('base64'),
      'registry/secrets',
    ])
      assert.ok(!journal.includes(text), text);
  });

  test('is staged anew when there are others to put', async () => {
    const backup = await scene.backUp();
    const order = scene.order(backup);
    const participant = scene.participant();
    const { signal } = new AbortController();
    const wish = { holder: 'restore/test', atLeast: 0n, operation: order.operation };
    const term = await participant.takeTerm(wish, signal);
    const call = { fence: { operation: order.operation, term }, budgetMs: 600_000 };
    const staged = async (value: string): Promise<number> => {
      const grafts = [{ key: MINE, value: Buffer.from(value) }];
      const { hashKv } = await participant.stage({ ...order.stage, grafts }, call, () => undefined, signal);
      return hashKv;
    };
    const first = await staged('one');
    assert.equal(await staged('one'), first);
    assert.notEqual(await staged('two'), first);
    const twice = [MINE, MINE].map((key) => ({ key, value: Buffer.from('a secret value') }));
    await assert.rejects(
      participant.stage({ ...order.stage, grafts: twice }, call, () => undefined, signal),
      (error) => hasCode(error, 'restore.grafts') && !error.message.includes('secret value'),
    );
    await participant.step('rollBack', call, signal);
  });
});
