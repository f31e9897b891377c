import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { agentOf, CONTROL_PLANE, credentialsFor, newAuthority } from '../lib/pki/installation.fixture.ts';
import { eventually } from '../test/harness/eventually.ts';
import { startHttpProxy } from '../test/harness/http-proxy.ts';
import { needs } from '../test/harness/tools.ts';
import { type AgentScene, allOf, startAgentScene } from './agent-scene.fixture.ts';

describe('an agent beside its etcd', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: AgentScene;
  before(async () => {
    scene = await startAgentScene();
  });
  after(() => scene[Symbol.asyncDispose]());

  test('finds etcd by its manifest, on the node, and tells all of it', async () => {
    const agent = await scene.start('described');
    const client = scene.client(agent.port);
    // It is given some seconds only: a machine that stands still for so long says nothing of it.
    const told = await eventually('etcd answers in time', async () => {
      const description = await client.describe({});
      return description.etcd?.unreachable === undefined && description;
    });
    assert.deepEqual(told.problems, []);
    const { clusterId, memberId, revision } = await scene.etcd.status();
    const { etcd } = told;
    assert.equal(etcd?.runsAs, 'STATIC_POD');
    assert.equal(etcd.dataDir, scene.etcd.dataDir);
    assert.deepEqual(etcd.clientUrls, [scene.etcd.endpoint]);
    assert.deepEqual([etcd.clusterId, etcd.memberId, etcd.revision], [clusterId, memberId, revision]);
    assert.equal(etcd.members[0]?.name, 'member-1');
    assert.ok(etcd.dataDiskFree > 0 && told.certificateEndsMs > Date.now());
    const pages = `http://127.0.0.1:${agent.pagesPort}`;
    assert.equal((await fetch(`${pages}/readyz`)).status, 200);
    const metrics = await eventually('etcd is measured', async () => {
      const text = await (await fetch(`${pages}/metrics`)).text();
      return text.includes('etcdguardian_agent_etcd_up 1') && text;
    });
    assert.match(metrics, /etcdguardian_etcd_revision\{endpoint="https:/);
    await agent.stop();
  });

  test('lets nobody change anything with a term that is not the highest, also after a restart', async () => {
    const agent = await scene.start('terms');
    const client = scene.client(agent.port);
    await assert.rejects(client.cancelTask({ fence: { operation: 'x' } }), { code: 'agent.request' });
    const first = await client.takeTerm({ holder: 'pod-a' });
    const second = await client.takeTerm({ holder: 'pod-b', atLeast: 41n });
    assert.deepEqual([first.term, second.term, second.previousHolder], [1n, 41n, 'pod-a']);
    await agent.stop();
    const again = scene.client((await scene.start('terms')).port);
    await assert.rejects(allOf(again.takeBackup(scene.request('stale', 40n))), {
      code: 'agent.stale-term',
      message: /pod-b took term 41/,
    });
    // A coordinator may have taken a higher one elsewhere.
    await again.cancelTask({ fence: { operation: 'x', term: 50n } });
    assert.equal((await again.describe({})).term, 50n);
    await assert.rejects(again.cancelTask({ fence: { operation: 'x', term: 49n } }), {
      code: 'agent.stale-term',
    });
  });

  test('makes one backup of one operation, however many ask, and remembers it', async () => {
    const agent = await scene.start('once');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const request = scene.request('once', term, { labels: { schedule: 'nightly' } });
    const both = await Promise.all([allOf(client.takeBackup(request)), allOf(client.takeBackup(request))]);
    const results = both.map((updates) => updates.at(-1)?.backup);
    assert.equal(results[0]?.found, false);
    assert.equal(results[0].validation?.verdict, 'Sound');
    assert.deepEqual(results[1], results[0]);
    await agent.stop();

    const record = await readFile(scene.folder.join('once/tasks/once.json'), 'utf8');
    assert.doesNotMatch(record, new RegExp(`${scene.s3.secretAccessKey}|${scene.s3.accessKeyId}`));
    assert.equal((await stat(scene.folder.join('once/tasks/once.json'))).mode & 0o777, 0o600);
    const restarted = scene.client((await scene.start('once')).port);
    const [known, ...more] = await allOf(restarted.takeBackup(request));
    assert.deepEqual([known?.backup, more], [results[0], []]);
    assert.deepEqual(
      (await restarted.describe({})).tasks.map(({ operation }) => operation),
      ['once'],
    );

    // Another state dir knows nothing, but the store does.
    const elsewhere = scene.client((await scene.start('elsewhere')).port);
    const found = (await allOf(elsewhere.takeBackup(request))).at(-1)?.backup;
    assert.deepEqual([found?.found, found?.point], [true, results[0].point]);
    await assert.rejects(allOf(elsewhere.buildRestorePoint({ fence: request.fence })), {
      code: 'agent.request',
    });
  });

  test('goes on when its caller hangs up, and tells whoever comes back', async () => {
    const held = Promise.withResolvers<undefined>();
    await using proxy = await startHttpProxy(scene.s3.endpoint, async ({ method, url }) => {
      if (method !== 'GET' && url.includes('/base')) await held.promise;
      return { kind: 'pass' };
    });
    const agent = await scene.start('hang-up');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const request = scene.request('hang-up', term);
    const slow = { ...request, store: { ...request.store, endpoint: proxy.endpoint } };
    for await (const { step } of client.takeBackup(slow)) if (step !== 'Preparing') break;
    client.close();
    held.resolve(undefined);
    const back = scene.client(agent.port);
    assert.equal((await back.describe({})).tasks.length, 1);
    const last = (await allOf(back.takeBackup(slow))).at(-1);
    assert.equal(last?.backup?.found, false);
  });

  test('ends a task that is cancelled, and lets one after the other work', async () => {
    await using proxy = await startHttpProxy(scene.s3.endpoint, () => ({ kind: 'silence' }));
    const client = scene.client((await scene.start('cancel')).port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const request = scene.request('cancel', term);
    const first = allOf(
      client.takeBackup({ ...request, store: { ...request.store, endpoint: proxy.endpoint } }),
    );
    const cancelled = assert.rejects(first, { code: 'agent.cancelled', message: /because of this/ });
    await eventually('the task', async () => (await client.describe({})).tasks.length === 1);
    const waiting = client.takeBackup(scene.request('behind', term));
    await eventually('the turn', async () =>
      (await waiting.next()).value?.message.includes('waits for 1 other'),
    );
    const { cancelled: done } = await client.cancelTask({ fence: request.fence, reason: 'because of this' });
    assert.equal(done, true);
    await cancelled;
    assert.equal((await allOf(waiting)).at(-1)?.backup?.found, false);
    assert.equal((await client.cancelTask({ fence: request.fence })).cancelled, false);
  });

  test('refuses whoever is not the control plane of this cluster', async () => {
    const { port } = await scene.start('refusals');
    const agent = scene.client(port, await credentialsFor(scene.pki, agentOf('node-2')));
    await assert.rejects(agent.describe({}), { code: 'pki.role' });
    const elsewhere = await newAuthority(new Date(), { cluster: 'another', namespace: 'x' });
    const foreign = scene.client(
      port,
      await credentialsFor(elsewhere, { ...CONTROL_PLANE, cluster: 'another' }),
    );
    await assert.rejects(foreign.describe({}), { code: 'agent.certificate' });
  });

  test('tells what is wrong with a request, and repeats no secret', async () => {
    const agent = await scene.start('wrong');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const request = scene.request('wrong', term);
    await assert.rejects(allOf(client.takeBackup({ ...request, etcdClusterId: 7n })), {
      code: 'backup.other-cluster',
    });
    const credentials = { ...request.store?.credentials, 'secret-access-key': 'WRONG-SECRET' };
    const denied = allOf(client.takeBackup({ ...request, store: { ...request.store, credentials } }));
    await assert.rejects(denied, { code: 'store.denied' });
    await assert.rejects(
      allOf(client.takeBackup({ ...request, store: { ...request.store, provider: 'OSS' } })),
      {
        code: 'store.unsupported',
      },
    );
    assert.doesNotMatch(agent.lines.join(''), /WRONG-SECRET/);
    assert.deepEqual(await readdir(scene.folder.join('wrong/tasks')), []);
  });

  test('captures until it is told to stop, and the increment of a task is what it stored', async () => {
    const agent = await scene.start('capture');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const { store, keys, cluster } = scene.request('capture', term);
    const request = { fence: { operation: 'cap-1', term }, store, keys, cluster, sealIntervalMs: 500 };
    assert.equal((await client.startCapture(request)).running, true);
    assert.equal((await client.startCapture(request)).operation, 'cap-1');
    await assert.rejects(client.startCapture({ ...request, fence: { operation: 'cap-2', term } }), {
      code: 'agent.capture-exists',
    });
    await eventually(
      'a base',
      async () => ((await client.describe({})).captures[0]?.storedRevision ?? 0n) > 0n,
    );
    await scene.etcd.etcdctl('put', 'captured', 'yes');
    const updates = await allOf(
      client.takeBackup({ fence: { operation: 'inc-1', term }, mode: 'INCREMENTAL', store, keys, cluster }),
    );
    const result = updates.at(-1)?.backup;
    assert.equal(result?.mode, 'INCREMENTAL');
    assert.equal(result.point?.revision, (await scene.etcd.status()).revision);
    const stopped = await client.stopCapture({ fence: request.fence });
    assert.deepEqual([stopped.running, stopped.problem], [false, undefined]);
    const point = { ...result.point };
    const built = await allOf(
      client.buildRestorePoint({ fence: { operation: 'built', term }, store, keys, cluster, point }),
    );
    assert.equal(built.at(-1)?.restorePoint?.point?.revision, result.point.revision);
  });

  test('runs hooks only where its settings allow it, and ends them in time', async () => {
    const off = scene.client((await scene.start('hooks-off')).port);
    const { term } = await off.takeTerm({ holder: 'test' });
    const hook = {
      fence: { operation: 'h', term },
      name: 'pre',
      command: ['sh', '-c', 'echo out; echo err >&2; exit 3'],
    };
    await assert.rejects(off.runHook({ ...hook, timeoutSeconds: 5 }).next(), { code: 'agent.hooks-off' });

    const on = scene.client(
      (await scene.start('hooks', { ETCDGUARDIAN_HOOKS: 'true' }, { hookRunner: [] })).port,
    );
    await on.takeTerm({ holder: 'test' });
    let [stdout, stderr] = ['', ''];
    let end: { exitCode: number; timedOut: boolean } | undefined;
    for await (const update of on.runHook({ ...hook, timeoutSeconds: 60 })) {
      stdout += Buffer.from(update.stdout).toString();
      stderr += Buffer.from(update.stderr).toString();
      if (update.ended) end = update;
    }
    assert.deepEqual([stdout, stderr, end?.exitCode, end?.timedOut], ['out\n', 'err\n', 3, false]);
    const endless = on.runHook({ ...hook, command: ['sh', '-c', 'sleep 600 & wait'], timeoutSeconds: 1 });
    assert.equal((await endless.next()).value?.timedOut, true);
    await assert.rejects(on.runHook({ ...hook, command: ['/no/such'], timeoutSeconds: 1 }).next(), {
      code: 'agent.hook',
    });
  });
});
