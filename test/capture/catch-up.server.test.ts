import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  type CatchUpEvent,
  type CatchUpRequest,
  type CaughtUp,
  catchUp,
} from '../../lib/backup/capture/catch-up.ts';
import { fullBackup } from '../../lib/backup/full-backup.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { CLUSTER, startLiveCapture } from '../harness/live-capture.ts';
import { repositorySettings } from '../harness/repository.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const ETCD = needs('etcd 3.6.16', 'etcdctl 3.6.16');

async function caughtUp(
  etcd: Etcd,
  store: ObjectStore,
  onEvent: (event: CatchUpEvent) => void = () => undefined,
): Promise<CaughtUp> {
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  return await caughtUpBy(client, store, onEvent);
}

async function caughtUpBy(
  client: EtcdClient,
  store: ObjectStore,
  onEvent: (event: CatchUpEvent) => void,
  request: CatchUpRequest = {},
): Promise<CaughtUp> {
  const repository = await openRepository(repositorySettings(store));
  const clock = (): Date => new Date();
  const { signal } = new AbortController();
  return await catchUp(
    { ...request, cluster: CLUSTER },
    {
      ...{ client, repository, store, clock, randomBytes, onEvent, signal },
      takeBase: () =>
        fullBackup(
          { cluster: CLUSTER, proof: { mode: 'off' }, streamLimitMs: 60_000, attempts: 1 },
          { client, repository, clock, onEvent: () => undefined },
        ),
    },
  );
}

test('catching up makes a base where there is none, then segments, then nothing', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new LocalStore(folder.join('store'));
  await putOne(etcd, '/a', '1');
  const base = await caughtUp(etcd, store);
  assert.deepEqual([base.how, base.revision, base.segments], ['base', 2n, 0]);
  assert.match(base.reason ?? '', /no backup/);

  for (let round = 0; round < 3; round++) {
    await putOne(etcd, '/a', `round ${round}`);
    const last = await putOne(etcd, '/b', `round ${round}`);
    const more = await caughtUp(etcd, store);
    assert.deepEqual([more.how, more.revision, more.segments], ['segments', last, 1]);
    const none = await caughtUp(etcd, store);
    assert.deepEqual(
      [none.how, none.revision, none.segments, none.chain],
      ['nothing-new', last, 0, more.chain],
    );
  }
  const repository = await openRepository(repositorySettings(store));
  assert.equal((await assertCaptured(repository, etcd)).revision, (await etcd.status()).revision);
});

test('history that is compacted by then makes catching up take a base, and say so', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new LocalStore(folder.join('store'));
  const first = await caughtUp(etcd, store);
  await putOne(etcd, '/a', '1');
  const at = await putOne(etcd, '/a', '2');
  await callGateway(etcd, 'kv/compaction', { revision: String(at) });
  const events: CatchUpEvent[] = [];
  const { how, revision, reason, chain } = await caughtUp(etcd, store, (event) => events.push(event));
  assert.deepEqual([how, revision], ['base', at]);
  assert.match(reason ?? '', /compacted/);
  assert.notEqual(chain, first.chain);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['taking-base'],
  );
});

test(
  'a capture that runs is waited for; one that is gone is not, and goes on behind what was caught up',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const store = new LocalStore(folder.join('store'));
    const endpoints = [etcd.endpoint];
    const captured = await startLiveCapture({ endpoints, store });
    await captured.reached('chain');
    await captured.stored(await putOne(etcd, '/a', '1'));
    const last = await putOne(etcd, '/a', '2');
    const waited = await caughtUp(etcd, store);
    assert.ok(waited.how === 'capture' || waited.how === 'nothing-new', waited.how);
    assert.ok(waited.revision >= last);
    await captured[Symbol.asyncDispose]();

    const unseen = await putOne(etcd, '/a', '3');
    const events: CatchUpEvent[] = [];
    const alone = await caughtUp(etcd, store, (event) => events.push(event));
    assert.deepEqual([alone.how, alone.revision, alone.segments], ['segments', unseen, 1]);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['waiting', 'stored'],
    );

    await using again = await startLiveCapture({ endpoints, store });
    const behind = await putOne(etcd, '/a', '4');
    await again.stored(behind);
    assert.deepEqual([again.status().gaps, again.status().bases], [0, 0]);
    assert.equal((await assertCaptured(again.repository, etcd)).revision, behind);
  },
);

test('an etcd that goes away meanwhile is waited for, but not for ever', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new LocalStore(folder.join('store'));
  await caughtUp(etcd, store);
  await putOne(etcd, '/a', '1');
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  // Gone once it has told its revision.
  const range: EtcdClient['range'] = async (key, options) => {
    const reply = await client.range(key, options);
    await etcd.kill();
    return reply;
  };
  const vanishing = Object.assign(Object.create(client) as EtcdClient, { range });
  const events: CatchUpEvent[] = [];
  await assert.rejects(
    caughtUpBy(vanishing, store, (event) => events.push(event), { patienceMs: 3_000 }),
    {
      code: /^etcd\./,
      retryable: true,
    },
  );
  assert.ok(events.some(({ kind }) => kind === 'watch-trouble'));
});
