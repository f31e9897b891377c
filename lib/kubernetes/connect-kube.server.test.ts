import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createAuthority } from '../../test/harness/certificates.ts';
import { eventually } from '../../test/harness/eventually.ts';
import {
  KUBE_PROGRAMS,
  type KubeApiServer,
  KUBERNETES_VERSIONS,
  startKubeApiServer,
} from '../../test/harness/kube-apiserver.ts';
import { sample } from '../../test/harness/sampling.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs } from '../../test/harness/tools.ts';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { connectKube, type KubeConnection } from './connect-kube.ts';
import { discovery } from './discovery.ts';
import { eventRecorder } from './event-recorder.ts';
import { inClusterAccess } from './in-cluster-access.ts';
import type { KubeObject } from './kube-client.ts';
import { startReflector } from './reflector.ts';
import { statusOf } from './status-error.ts';
import { reviewToken, whoAmI } from './token-review.ts';
import { mayI, mayUser } from './access-review.ts';
import { type WithStatus, writeStatus } from './write-status.ts';

const MAPS = { group: '', version: 'v1', plural: 'configmaps' };
const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces' };
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' };

for (const version of sample(KUBERNETES_VERSIONS, 1, 'kubernetes'))
  test(
    `Kubernetes ${version}: a client`,
    needs(...KUBE_PROGRAMS, `kube-apiserver ${version}`),
    async (suite) => {
      await using kube = await startKubeApiServer({ version });
      using client = await connectKube({ kubeconfig: kube.kubeconfig });
      await client.create(NAMESPACES, undefined, { metadata: { name: 'a' } });

      await suite.test('writes, and tells apart what was wrong', () => writes(client));
      await suite.test('acts as a requester, exactly', () => actsAs(client));
      await suite.test('sends nothing that its guard forbids', () => isGuarded(client));
      await suite.test('asks who may do what, and takes only yes for yes', () => reviews(client));
      await suite.test('knows whose a token is', () => tokens(client, kube));
      await suite.test('logs in with a token that is replaced', () => rotates(kube));
      await suite.test('finds the resources that are served', () => discovers(client));
      await suite.test('writes a status only over what was read', () => statuses(client));
      await suite.test('tells Events, counted and limited', () => events(client));
      await suite.test('does not trust just anybody', () => distrusts(kube));
    },
  );

async function writes(client: KubeConnection): Promise<void> {
  const one = { resource: MAPS, namespace: 'a', name: 'one' };
  const dry = await client.create<KubeObject>(MAPS, 'a', { metadata: { name: 'one' } }, { dryRun: true });
  assert.equal(dry.metadata.name, 'one');
  await assert.rejects(client.get(one), (error) => hasCode(error, 'kubernetes.not-found'));

  const made = await client.create<KubeObject>(MAPS, 'a', {
    metadata: { name: 'one' },
    data: { a: '1', b: '2' },
  });
  await assert.rejects(client.create(MAPS, 'a', { metadata: { name: 'one' } }), (error) =>
    hasCode(error, 'kubernetes.exists'),
  );
  const patched = await client.mergePatch<KubeObject & { data: object }>(one, { data: { a: null, c: '3' } });
  assert.deepEqual(patched.data, { b: '2', c: '3' });
  await assert.rejects(client.replace(one, made), (error) => hasCode(error, 'kubernetes.conflict'));
  await assert.rejects(client.delete(one, { uid: 'another' }), (error) =>
    hasCode(error, 'kubernetes.conflict'),
  );
  await assert.rejects(client.create(MAPS, 'a', { metadata: { name: 'No Name' } }), (error) => {
    assert.ok(hasCode(error, 'kubernetes.invalid'));
    assert.equal(statusOf(error)?.causes[0]?.field, 'metadata.name');
    return true;
  });
  const pages = await client.list(MAPS, { namespace: 'a', limit: 1, labelSelector: 'none=such' });
  assert.deepEqual(pages.items, []);
  await client.delete(one, { uid: made.metadata.uid, propagation: 'Background' });
  await assert.rejects(client.raw('GET', '/no/such/path'), (error) => hasCode(error, 'kubernetes.not-found'));
  assert.match(JSON.stringify(await client.raw('GET', '/version')), /"gitVersion":"v1\./);
}

async function actsAs(client: KubeConnection): Promise<void> {
  const tina = {
    username: 'tina/jürgen@example.com',
    uid: 'u-1',
    groups: ['dev', 'qa ü'],
    extra: { 'example.com/Team%': ['x', 'y'], plain: ['z'] },
  };
  const seen = await whoAmI(client.as(tina));
  assert.deepEqual(seen, { ...tina, groups: [...tina.groups, 'system:authenticated'] });
  await assert.rejects(client.as(tina).list(MAPS), (error) => {
    assert.ok(hasCode(error, 'kubernetes.forbidden'));
    return error.message.includes('User "tina/jürgen@example.com" cannot list');
  });
  // Each call has its own user only.
  assert.equal((await whoAmI(client)).username, 'admin');
  assert.throws(() => client.as({ username: '' }), /can't be asked on behalf of/);
}

async function isGuarded(client: KubeConnection): Promise<void> {
  const stop = new GuardianError('kubernetes.not-leader', 'not any more');
  let leading = true;
  const guarded = client.guardedBy(() => {
    if (!leading) throw stop;
  });
  await guarded.create(MAPS, 'a', { metadata: { name: 'guarded' } });
  leading = false;
  await assert.rejects(guarded.create(MAPS, 'a', { metadata: { name: 'too-late' } }), stop);
  await assert.rejects(
    guarded
      .as({ username: 'admin', groups: ['system:masters'] })
      .delete({ resource: MAPS, namespace: 'a', name: 'guarded' }),
    stop,
  );
  const { items } = await guarded.list(MAPS, { namespace: 'a' });
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ['guarded'],
  );
}

async function reviews(client: KubeConnection): Promise<void> {
  await client.create({ ...RBAC, plural: 'roles' }, 'a', {
    metadata: { name: 'reader' },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'], resourceNames: ['one'] }],
  });
  await client.create({ ...RBAC, plural: 'rolebindings' }, 'a', {
    metadata: { name: 'readers' },
    roleRef: { apiGroup: RBAC.group, kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'Group', name: 'dev' }],
  });
  const tina = { username: 'tina', groups: ['dev'] };
  const get = { verb: 'get', group: '', resource: 'configmaps', namespace: 'a', name: 'one' };
  await eventually('the role counts', async () => await mayUser(client, tina, get));
  assert.equal(await mayUser(client, tina, { ...get, name: 'two' }), false);
  assert.equal(await mayUser(client, tina, { ...get, namespace: undefined }), false);
  assert.equal(await mayUser(client, tina, { ...get, subresource: 'status' }), false);
  assert.equal(await mayUser(client, { username: 'tina' }, get), false);
  assert.equal(await mayUser(client, { username: '', groups: ['dev'] }, get), false);
  assert.equal(await mayI(client, { verb: '*', group: '*', resource: '*' }), true);
  assert.equal(await mayI(client.as(tina), { verb: 'list', group: '', resource: 'secrets' }), false);
}

async function tokens(client: KubeConnection, kube: KubeApiServer): Promise<void> {
  const accounts = { group: '', version: 'v1', plural: 'serviceaccounts' };
  await client.create(accounts, 'a', { metadata: { name: 'agent' } });
  const { status } = await client.create<{ status: { token: string } }>(
    accounts,
    'a',
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: ['enrolment'] } },
    { subresourceOf: 'agent', subresource: 'token' },
  );
  const known = await reviewToken(client, status.token, 'enrolment');
  assert.equal(known?.username, 'system:serviceaccount:a:agent');
  assert.equal(await reviewToken(client, status.token, 'something-else'), undefined);
  assert.equal(await reviewToken(client, `${status.token}x`, 'enrolment'), undefined);
  assert.equal(await reviewToken(client, '', 'enrolment'), undefined);
  // Of an authenticator that knows nothing of audiences, and accepts it for the API server alone.
  assert.equal(await reviewToken(client, kube.token(), 'enrolment'), undefined);
}

async function rotates(kube: KubeApiServer): Promise<void> {
  await using folder = await temporaryFolder();
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: new URL(kube.url).port };
  await writeFile(folder.join('ca.crt'), kube.authority.certificate);
  await writeFile(folder.join('namespace'), 'team-a');
  await writeFile(folder.join('token'), 'no-longer-valid\n');
  const inCluster = await inClusterAccess(env, folder.path);
  assert.deepEqual([inCluster.namespace, inCluster.server], ['team-a', kube.url]);

  const kubeconfig = folder.join('kubeconfig');
  const named = (name: string, more: object): object => ({ name, ...more });
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [named('c', { cluster: { server: kube.url, 'certificate-authority': 'ca.crt' } })],
      users: [named('u', { user: { tokenFile: 'token' } })],
      contexts: [named('x', { context: { cluster: 'c', user: 'u', namespace: 'team-a' } })],
      'current-context': 'x',
    }),
  );
  using client = await connectKube({ kubeconfig });
  assert.equal(client.namespace, 'team-a');
  const troubles: unknown[] = [];
  const ended = new AbortController();
  const reflector = startReflector({
    ...{ client, resource: NAMESPACES, signal: ended.signal, longestPauseMs: 500 },
    onTrouble: (error) => troubles.push(error),
  });
  try {
    await eventually('it is refused', () =>
      troubles.some((error) => hasCode(error, 'kubernetes.unauthorized')),
    );
    await writeFile(folder.join('token'), `${kube.token()}\n`);
    await reflector.synced;
    await eventually('a pod’s token is read anew', async () => {
      const { headers } = await inCluster.credentials(true);
      return headers.authorization === `Bearer ${kube.token()}`;
    });
  } finally {
    ended.abort(new Error('the test is over'));
    await reflector.ended;
  }
}

async function discovers(client: KubeConnection): Promise<void> {
  const found = discovery(client);
  const { resources, unknown } = await found.get();
  assert.deepEqual(unknown, []);
  const deployments = resources.find(({ group, plural }) => group === 'apps' && plural === 'deployments');
  assert.ok(deployments?.namespaced === true && deployments.preferred && deployments.kind === 'Deployment');
  assert.ok(deployments.verbs.includes('list') && deployments.subresources.includes('status'));
  assert.ok(
    resources.some(({ group, plural, namespaced }) => group === '' && plural === 'nodes' && !namespaced),
  );
  assert.equal(await found.get(), await found.get());

  // As servers without aggregated discovery answer.
  const old = discovery({ ...client, raw: (method, path) => client.raw(method, path) });
  const names = (all: typeof resources): string[] =>
    all
      .map(({ group, version, plural, kind, subresources }) =>
        [group, version, plural, kind, ...subresources.toSorted()].join(' '),
      )
      .toSorted();
  assert.deepEqual(names((await old.get()).resources), names(resources));
}

interface NamespaceStatus {
  readonly phase?: string;
  readonly conditions?: readonly object[];
}

async function statuses(client: KubeConnection): Promise<void> {
  const reference = { resource: NAMESPACES, name: 'a' };
  const read = await client.get<WithStatus<NamespaceStatus>>(reference);
  const write = async (status: NamespaceStatus): Promise<WithStatus<NamespaceStatus>> =>
    await writeStatus<NamespaceStatus, WithStatus<NamespaceStatus>>(client, reference, read, status);
  assert.equal(await write({ phase: 'Active' }), read);
  const condition = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };
  const conditions = [{ ...condition, reason: 'A', message: 'b' }];
  assert.deepEqual((await write({ phase: 'Active', conditions })).status?.conditions, conditions);
  await assert.rejects(write({ phase: 'Active', conditions: [] }), (error) =>
    hasCode(error, 'kubernetes.conflict'),
  );
}

async function events(client: KubeConnection): Promise<void> {
  let now = 0;
  const troubles: unknown[] = [];
  const recorder = eventRecorder({
    ...{ client, controller: 'etcdguardian.io/controlplane', instance: 'pod-1', monotonic: () => now },
    onTrouble: (error) => troubles.push(error),
  });
  const about = {
    ...(await client.get({ resource: NAMESPACES, name: 'a' })),
    apiVersion: 'v1',
    kind: 'Namespace',
  };
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'a' } };
  const text = {
    type: 'Warning',
    reason: 'BackupFailed',
    action: 'Back up\n',
    note: `\u001b[31m${'ü'.repeat(2_000)}`,
  } as const;
  const soon = (): AbortSignal => AbortSignal.timeout(120_000);
  recorder.record(about, text);
  recorder.record(map, text);
  await recorder.flush(soon());
  for (let times = 0; times < 5; times += 1) recorder.record(map, text);
  await recorder.flush(soon());
  // Others are told until there are too many.
  for (let number = 0; number < 100; number += 1) recorder.record(map, { ...text, note: String(number) });
  recorder.record({ ...map, metadata: { name: 'x', namespace: 'no-such-namespace' } }, text);
  await recorder.flush(soon());
  now += 3_600_000;

  const resource = { group: 'events.k8s.io', version: 'v1', plural: 'events' };
  type Event = KubeObject & { readonly note: string; readonly series?: { readonly count: number } };
  const { items } = await client.list<Event>(resource, { namespace: 'a' });
  assert.equal(items.length, 25);
  const series = items.filter(({ note }) => note.startsWith('\\u{1b}'));
  assert.deepEqual(
    series.map((event) => event.series?.count),
    [6],
  );
  assert.ok(Buffer.byteLength(series[0]?.note ?? '') <= 1_024);
  assert.equal(
    (await client.list<Event>(resource, { namespace: 'default' })).items.filter(({ note }) =>
      note.startsWith('\\u{1b}'),
    ).length,
    1,
  );
  assert.ok(hasCode(troubles[0], 'kubernetes.not-found') && troubles.length === 1);
}

async function distrusts(kube: KubeApiServer): Promise<void> {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority('not ours');
  const kubeconfig = folder.join('kubeconfig');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [
        { name: 'c', cluster: { server: kube.url, 'certificate-authority': authority.certificateFile } },
      ],
      users: [{ name: 'u', user: { token: kube.token() } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  using client = await connectKube({ kubeconfig });
  await assert.rejects(client.raw('GET', '/version'), (error) => {
    assert.ok(hasCode(error, 'kubernetes.unreachable'));
    return !error.retryable && error.message.includes("isn't trusted");
  });
  await assert.rejects(connectKube({ kubeconfig: folder.join('none') }), (error) =>
    hasCode(error, 'kubernetes.credentials'),
  );
  await assert.rejects(connectKube({ kubeconfig, context: 'none' }), /no context "none"/);
}
