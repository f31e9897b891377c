import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { z } from 'zod';
import type { RestoreScene } from '../../agent/restore/restore-scene.fixture.ts';
import { CLUSTER } from '../../lib/pki/installation.fixture.ts';
import { breakGlass } from '../harness/break-glass.ts';
import { base64 } from '../harness/etcd-gateway.ts';
import { eventually } from '../harness/eventually.ts';
import { needs } from '../harness/tools.ts';

const NEEDS = needs('etcd 3.6.16', 'versitygw');
const OURS = 'etcd-guardian-system';
const CRDS = '/registry/apiextensions.k8s.io/customresourcedefinitions';
const kept = z.object({ objects: z.int(), from: z.string().nullable(), message: z.string() });
const planned = z.object({ own: kept, encryption: z.array(z.string()) });
const ended = z.object({ outcome: z.string(), own: kept });

/** What an installation has, in short, as etcd stores it. */
const INSTALLED: Readonly<Record<string, string>> = {
  [`/registry/namespaces/${OURS}`]: object('v1', 'Namespace', { name: OURS }),
  [`/registry/secrets/${OURS}/etcdguardian-authority`]: 'k8s:enc:aescbc:v1:key2:our own authority',
  [`/registry/clusterroles/etcdguardian-agent`]: 'rights',
  [`/registry/clusterroles/etcd-viewer`]: object('rbac.authorization.k8s.io/v1', 'ClusterRole', {
    ...{ name: 'etcd-viewer', labels: { 'app.kubernetes.io/name': 'etcdguardian' } },
  }),
  [`${CRDS}/etcdbackups.etcdguardian.io`]: 'a definition of ours',
  [`${CRDS}/servicemonitors.monitoring.coreos.com`]: 'a definition of others',
  [`/registry/monitoring.coreos.com/servicemonitors/${OURS}/etcdguardian`]: 'who watches us',
};
/** All but the definition of others. */
const OBJECTS = Object.keys(INSTALLED).length - 1;

test(
  'a restore led by a person to a time before EtcdGuardian was installed leaves it as it is',
  NEEDS,
  async () => {
    await using at = await breakGlass();
    const { scene, cli, agents, backUp } = at;
    const keys = scene.folder.join('keys');
    const [key, recovery, passphrase] = [`${keys}.json`, `${keys}.pem`, `${keys}.txt`];
    await writeFile(passphrase, 'correct horse battery\n');
    const made = await cli.run([
      ...['keys', 'create', '--label', 'x', '--out', key, '--recovery-out', recovery],
      ...['--recovery-passphrase-file', passphrase],
    ]);
    assert.equal(made.status, 0, made.stderr);
    // An older version of ours was there at that time.
    await scene.put(`/registry/secrets/${OURS}/of-old`, 'old');
    await scene.put('/registry/a', 'wanted');
    await scene.put('/registry/secrets/shop/paid', 'k8s:enc:aescbc:v1:key1:x');
    await backUp('--key-file', key);
    await scene.put('/registry/a', 'new');
    await remove(scene, `/registry/secrets/${OURS}/of-old`);
    await install(scene);
    const withKeys = (file: string): string[] => [
      ...['restore', 'cluster', ...agents, ...at.store, '--no-quiesce', '--key-file', file],
    ];

    const { own, encryption } = await cli.json(planned, withKeys(key));
    assert.match(encryption.join(), /other keys than this cluster writes with now \(aescbc key2\)/);
    assert.equal(own.objects, OBJECTS, own.message);
    assert.equal(own.from, 'the etcd of node-1');
    const refused = await cli.json(planned, [...withKeys(key), '--no-keep-own']);
    assert.deepEqual([refused.own.objects, refused.own.from], [0, null]);
    const elsewhere = await cli.json(planned, [...withKeys(key), '--system-namespace', 'elsewhere']);
    assert.match(elsewhere.own.message, /NOT kept, .*namespace elsewhere.*--system-namespace/);
    await cli.fails(5, 'keys.passphrase', [...withKeys(recovery), '--yes']);

    // The key file is lost; what lies in the safe opens it.
    const recovered = [...withKeys(recovery), '--key-passphrase-file', passphrase, '--yes'];
    const done = await cli.json(ended, recovered);
    assert.deepEqual([done.outcome, done.own.objects], ['restored', OBJECTS]);
    assert.equal(await scene.get('/registry/a'), 'wanted');
    for (const [name, value] of Object.entries(INSTALLED))
      assert.equal(await scene.get(name), name.includes('/servicemonitors.') ? undefined : value, name);
    assert.equal(await scene.get(`/registry/secrets/${OURS}/of-old`), undefined);
  },
);

test(
  'where no etcd serves, it is kept as a rescued snapshot has it, or the plan says that it is not',
  NEEDS,
  async () => {
    await using at = await breakGlass();
    const { scene, cli, store, agents } = at;
    await scene.put('/registry/namespaces/kube-system', object('v1', 'Namespace', { uid: CLUSTER }));
    await scene.put(`/registry/secrets/${OURS}/gone`, 'by now');
    await install(scene);
    await remove(scene, `/registry/secrets/${OURS}/gone`);
    await stopEtcd(scene);

    const restore = ['restore', 'cluster', ...agents, ...store, '--no-quiesce'];
    const { own } = await cli.json(planned, restore);
    assert.match(own.message, /NOT kept, as no etcd serves \(node-1: .*--own-from FILE/);
    assert.equal(own.objects, 0);
    const rescued = scene.folder.join('rescued.db');
    const said = await cli.run(['rescue', '--data-dir', scene.dataDir, '--out', rescued]);
    assert.equal(said.status, 0, said.stderr);
    scene.pods.breakPod('etcd.yaml', false);
    const done = await cli.json(ended, [...restore, '--own-from', rescued, '--yes']);
    assert.deepEqual([done.outcome, done.own.from, done.own.objects], ['restored', rescued, OBJECTS]);
    assert.equal(await scene.get('/registry/a'), 'old');
    assert.equal(await scene.get(`/registry/secrets/${OURS}/gone`), undefined);
    assert.equal(await scene.get('/registry/clusterroles/etcdguardian-agent'), 'rights');
    await truncate(rescued, 9_000);
    await cli.fails(3, 'restore.unsound', [...restore, '--own-from', rescued]);

    // The same data, called another cluster's.
    const uid = '00000000-8c1b-4f3a-9a55-0d6a6f1f2b11';
    await scene.put('/registry/namespaces/kube-system', object('v1', 'Namespace', { uid }));
    const other = await cli.json(planned, restore);
    assert.match(other.own.message, new RegExp(`NOT kept, as the backup is of another cluster.*${uid}`));
  },
);

async function remove({ endpoint }: RestoreScene, key: string): Promise<void> {
  const body = JSON.stringify({ key: base64(key) });
  assert.ok((await fetch(`${endpoint}/v3/kv/deleterange`, { method: 'POST', body })).ok);
}

/** Until someone mends it; what it had in its log is in its database, too. */
async function stopEtcd({ pods }: RestoreScene): Promise<void> {
  pods.breakPod('etcd.yaml', true);
  const pid = pods.pid('etcd.yaml');
  if (pid !== undefined) process.kill(pid, 'SIGTERM');
  await eventually('etcd has ended', () => pods.pid('etcd.yaml') === undefined);
}

async function install(scene: RestoreScene): Promise<void> {
  for (const [key, value] of Object.entries(INSTALLED)) await scene.put(key, value);
}

function object(apiVersion: string, kind: string, metadata: object): string {
  return JSON.stringify({ apiVersion, kind, metadata });
}
