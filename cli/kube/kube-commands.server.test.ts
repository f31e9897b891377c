import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { z } from 'zod';
import { createAuthority } from '../../lib/pki/authority.ts';
import { toSecretData } from '../../lib/pki/authority-bundle.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { type GuardianCli, guardianCli } from '../../test/harness/guardian-cli.ts';
import { KUBE_PROGRAMS, type KubeApiServer, startKubeApiServer } from '../../test/harness/kube-apiserver.ts';
import { temporaryFolder, type TemporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs } from '../../test/harness/tools.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'manifests', 'crds');
const SYSTEM = 'etcd-guardian-system';
const STORE = ['--store', 's3://backups/prod', '--region', 'us-east-1', '--credentials-secret', 's3'];

// One API server for all of them. No control plane runs: what it would write into statuses is written by hand.
suite('commands in a cluster', needs(...KUBE_PROGRAMS), () => {
  const stack = new AsyncDisposableStack();
  let kube: KubeApiServer;
  let folder: TemporaryFolder;
  let cli: GuardianCli;
  let asAlice: Record<string, string>;

  before(async () => {
    kube = stack.use(await startKubeApiServer({ users: [{ name: 'alice' }] }));
    folder = stack.use(await temporaryFolder());
    cli = guardianCli(folder, { KUBECONFIG: kube.kubeconfig });
    await kube.kubectl('apply', '--server-side', '-f', CRDS);
    await kube.kubectl('wait', '--for=condition=Established', '--timeout=60s', '-f', CRDS);
    for (const name of [SYSTEM, 'team-a']) await kube.kubectl('create', 'namespace', name);
    await kube.kubectl(
      ...['create', 'role', 'backups', '-n', 'team-a', '--verb=get,list,create'],
      '--resource=etcdbackups.etcdguardian.io',
    );
    await kube.kubectl('create', 'rolebinding', 'alice', '-n', 'team-a', '--role=backups', '--user=alice');
    asAlice = { KUBECONFIG: await kubeconfigOf(kube, folder, 'alice') };
  });
  after(() => stack.disposeAsync());

  const path = (plural: string, name: string): string =>
    `/apis/etcdguardian.io/v1alpha1/namespaces/team-a/${plural}/${name}`;
  const exists = (plural: string, name: string): Promise<true> =>
    eventually(`${name} exists`, async () => (await kube.request('GET', path(plural, name))).status === 200);
  const writeStatus = async (plural: string, name: string, status: object): Promise<void> => {
    const answer = await kube.request('PATCH', `${path(plural, name)}/status`, {
      contentType: 'application/merge-patch+json',
      body: { status },
    });
    assert.equal(answer.status, 200, answer.message);
  };

  test('a backup is created and waited for, with its steps and its proof', async () => {
    const running = cli.run(['kube', 'backup', 'create', 'b1', '-n', 'team-a', ...STORE, '--wait']);
    await exists('etcdbackups', 'b1');
    await writeStatus('etcdbackups', 'b1', { phase: 'Running', step: 'Uploading' });
    await writeStatus('etcdbackups', 'b1', DONE);
    const { status, stdout, stderr } = await running;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /EtcdBackup team-a\/b1 is created\n[^]*Completed\n/);
    assert.match(
      stdout,
      /backup team-a\/b1: Completed\n[^]*proof: +a live member has the same hash at revision 7/,
    );
  });

  test('a failed one ends with the status of its reason, and its words', async () => {
    const running = cli.run(['kube', 'backup', 'create', 'b2', '-n', 'team-a', ...STORE, '--wait']);
    await exists('etcdbackups', 'b2');
    await writeStatus('etcdbackups', 'b2', {
      phase: 'Failed',
      reason: 'store.denied',
      message: 'S3 says no.',
    });
    const { status, stderr } = await running;
    assert.equal(status, 5);
    assert.match(stderr, /EtcdBackup team-a\/b2 failed: S3 says no\. \[store\.denied\]/);
  });

  test('who may not watch waits all the same; giving up says that it goes on', async () => {
    await cli.run(['kube', 'backup', 'create', 'b3', '-n', 'team-a', ...STORE], { env: asAlice });
    const waiting = cli.run(['kube', 'backup', 'wait', 'b3', '-n', 'team-a'], { env: asAlice });
    await writeStatus('etcdbackups', 'b3', DONE);
    assert.equal((await waiting).status, 0);
    await cli.run(['kube', 'backup', 'create', 'b4', '-n', 'team-a', ...STORE]);
    const late = ['kube', 'backup', 'wait', 'b4', '-n', 'team-a', '--timeout', '200ms'];
    await cli.fails(6, 'kubernetes.not-yet', late);
    await cli.fails(4, 'kubernetes.not-found', ['kube', 'backup', 'wait', 'none', '-n', 'team-a']);
  });

  test('files, dry runs and mistakes', async () => {
    const file = folder.join('backup.yaml');
    await writeFile(
      file,
      `apiVersion: etcdguardian.io/v1alpha1
kind: EtcdBackup
metadata: { name: other, namespace: team-a, labels: { made: by-hand } }
spec: { backupMode: Full, storageLocation: { provider: S3, bucket: backups, region: eu-west-1 } }
`,
    );
    const create = ['kube', 'backup', 'create'];
    const made = await cli.json(z.looseObject({ metadata: z.looseObject({}), spec: z.looseObject({}) }), [
      ...[...create, 'from-file', '-f', file, '--namespaces', 'team=a,!temporary'],
    ]);
    assert.deepEqual(made.metadata.labels, { made: 'by-hand' });
    assert.deepEqual(made.spec.namespaceSelector, {
      matchLabels: { team: 'a' },
      matchExpressions: [{ key: 'temporary', operator: 'DoesNotExist' }],
    });
    const tried = await cli.run([...create, 'tried', '-n', 'team-a', ...STORE, '--dry-run']);
    assert.match(tried.stderr, /would be created/);
    assert.equal((await kube.request('GET', path('etcdbackups', 'tried'))).status, 404);
    await cli.fails(2, 'usage.store', [...create, 'x', '-n', 'team-a']);
    await cli.fails(2, 'usage.selector', [...create, 'x', ...STORE, '--namespaces', '']);
    await cli.fails(2, 'usage.file', ['kube', 'restore', 'create', 'x', '-f', file]);
    await cli.fails(5, 'kubernetes.forbidden', [...create, 'x', '-n', SYSTEM, ...STORE, '--as', 'alice']);
  });

  test('lists and points tell what there is', async () => {
    const list = await cli.run(['kube', 'backup', 'list', '-n', 'team-a']);
    assert.match(list.stdout, /team-a +b1 +\d+m +Completed +Full +7 +1\.0 MiB +100 KiB +LiveHash/);
    const points = await cli.run(['kube', 'points', '-A']);
    assert.match(points.stdout, /2026-11-22T12:00:00Z .*7 +cluster +team-a\/b1 +LiveHash/);
    const shown = await cli.run(['kube', 'backup', 'show', 'b2', '-n', 'team-a']);
    assert.match(shown.stdout, /Failed \[store\.denied\]/);
    await cli.fails(4, 'kubernetes.not-found', ['kube', 'points', 'b1', '-n', 'team-a']);
  });

  test('status and doctor tell what they could not look at, and what is missing', async () => {
    const status = await cli.run(['kube', 'status'], { env: asAlice });
    assert.match(status.stdout, /leader: +could not look: .*forbidden/);
    const Findings = z.object({
      findings: z.array(z.object({ check: z.string(), state: z.string(), message: z.string() })),
    });
    const blind = await cli.json(Findings, ['kube', 'doctor'], { env: asAlice });
    assert.ok(blind.findings.filter(({ state }) => state === 'unknown').length >= 10);
    const { status: exit, stdout } = await cli.run(['kube', 'doctor']);
    assert.equal(exit, 1);
    assert.match(stdout, /FAIL {2}leader .*no replica of the control plane leads/);
    assert.match(stdout, /WARN {2}webhook that stamps .*is not registered/);
    assert.match(stdout, / ok {3}CRDs .*all three are there/);
    assert.match(stdout, / ok {3}clock /);
  });

  test('identities are issued from the Secret and from a copy of it, for their owner only', async () => {
    const system = await kube.request('GET', '/api/v1/namespaces/kube-system');
    const cluster = z.object({ metadata: z.object({ uid: z.string() }) }).parse(system.body).metadata.uid;
    const signer = await createAuthority({ cluster, namespace: SYSTEM }, new Date());
    const secret = {
      ...{
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'etcdguardian-authority', namespace: SYSTEM },
      },
      data: toSecretData({ signer, retired: [] }),
    };
    const copy = folder.join('authority.json');
    await writeFile(copy, JSON.stringify(secret));
    await kube.kubectl('create', '-f', copy);
    const issue = ['pki', 'issue', '--holder', 'alice'];
    const { stderr } = await cli.run([...issue, '--out', folder.join('id-1')]);
    assert.match(stderr, /"audit":true.*"what":"issue"/);
    await cli.run([...issue, '--out', folder.join('id-2'), '--authority-file', copy], {
      env: { KUBECONFIG: '/nowhere' },
    });
    for (const id of ['id-1', 'id-2']) {
      assert.equal((await stat(folder.join(id, 'tls.key'))).mode & 0o777, 0o600);
      const shown = await cli.run(['pki', 'show', folder.join(id)]);
      assert.match(shown.stdout, /the break-glass identity of alice/);
    }
    assert.match((await cli.run(['pki', 'show'])).stdout, new RegExp(`cluster ${cluster}`));
    await cli.fails(2, 'usage.out', [...issue, '--out', folder.join('id-1')]);
    await cli.fails(5, 'kubernetes.forbidden', [...issue, '--out', folder.join('id-3')], { env: asAlice });
  });

  test('a restore is followed through the API server’s absence, and its own', async () => {
    const create = ['kube', 'restore', 'create', 'r1', '-n', 'team-a', '--backup', 'b1', '--wait'];
    await using running = await cli.start(create);
    await exists('etcdrestores', 'r1');
    await writeStatus('etcdrestores', 'r1', { phase: 'Quiescing', step: 'Quiescing' });
    await running.line(/Quiescing/);
    await kube.kill();
    await running.line(/the API server doesn't answer .*trying on$/);
    await kube.restart();
    const { body } = await kube.request('GET', path('etcdrestores', 'r1'));
    await kube.request('DELETE', path('etcdrestores', 'r1'));
    const { spec } = z.object({ spec: z.looseObject({}) }).parse(body);
    const again = {
      apiVersion: 'etcdguardian.io/v1alpha1',
      kind: 'EtcdRestore',
      metadata: { name: 'r1' },
      spec,
    };
    await kube.request('POST', path('etcdrestores', '').replace(/\/$/, ''), { body: again });
    await writeStatus('etcdrestores', 'r1', { phase: 'Completed', restoredRevision: 7, restoredKeys: 12 });
    assert.equal(await running.exited, 0, running.output());
    assert.match(running.output(), /trying on\n[^]*the API server answers again/);
    assert.match(running.output(), /restore team-a\/r1: Completed\n[^]*restored: +12 keys/);
  });

  test('an API server that is away ends with 6', async () => {
    await kube.kill();
    const { status, stdout } = await cli.run(['kube', 'doctor']);
    assert.equal(status, 6);
    assert.match(stdout, /FAIL {2}API server/);
  });
});

const DONE = {
  ...{ phase: 'Completed', snapshotSize: 2 ** 20, storedSize: 100 * 1024, etcdRevision: 7 },
  restorePoint: { cluster: 'c', timeline: '000001', revision: 7, time: '2026-11-22T12:00:00Z' },
  validationResult: { verdict: 'Sound', proof: 'LiveHash', proofRevision: 7 },
};

async function kubeconfigOf(kube: KubeApiServer, folder: TemporaryFolder, user: string): Promise<string> {
  const file = folder.join(`kubeconfig-${user}`);
  const cluster = { server: kube.url, 'certificate-authority': kube.authority.certificateFile };
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'test', user: { token: kube.token(user) } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}
