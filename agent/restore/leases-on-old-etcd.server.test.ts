import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import { openJournal } from '../../lib/restore/cluster/journal.ts';
import { base64 } from '../../test/harness/etcd-gateway.ts';
import { needs } from '../../test/harness/tools.ts';
import { verifyMember } from './member-etcd.ts';
import { deadlineIn } from './node-service.ts';
import { startRestoreScene } from './restore-scene.fixture.ts';

describe('an etcd that can’t tell the hash before a lease ended', needs('etcd 3.4.23', 'versitygw'), () => {
  test('is not verified then, and the error says whether anyone wrote', async () => {
    await using scene = await startRestoreScene({ version: '3.4.23' });
    const gateway = (path: string, body: object): Promise<Response> =>
      fetch(`${scene.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const lease = '4711';
    await gateway('lease/grant', { ID: lease, TTL: '3600' });
    await gateway('kv/put', { key: base64('/leased/a'), value: base64('x'), lease });
    await scene.put('/registry/a', 'kept');
    const order = scene.order(await scene.backUp());
    const { operation } = order;
    const participant = scene.participant();
    const { signal } = new AbortController();
    const term = await participant.takeTerm({ holder: 'restore/test', atLeast: 0n, operation }, signal);
    const call = { fence: { operation, term }, budgetMs: 600_000 };
    await participant.stage(order.stage, call, () => undefined, signal);
    for (const step of ['quiesce', 'swap', 'startEtcd'] as const) await participant.step(step, call, signal);
    const entry = (await openJournal(dirname(scene.journal(operation)))).find(operation);
    assert.ok(entry?.staged !== undefined);
    const { etcd, staged } = entry;
    const verified = (): Promise<void> => verifyMember(etcd, staged, deadlineIn(60_000, signal));
    await verified();
    await gateway('lease/revoke', { ID: lease });
    await assert.rejects(verified(), { code: 'restore.leases-ended', retryable: true, hint: /nobody wrote/ });
    await scene.put('/registry/written', 'by something');
    await assert.rejects(verified(), { code: 'restore.written', message: /\/registry\/written/ });
    const { header } = await scene.client.status(scene.endpoint);
    await gateway('kv/compaction', { revision: String(header.revision) });
    await assert.rejects(verified(), { code: 'restore.written', message: /compacted/ });
    assert.equal((await participant.step('rollBack', call, signal)).state, 'RolledBack');
    assert.equal(await scene.get('/registry/a'), 'kept');
  });
});
