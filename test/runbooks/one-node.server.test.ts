import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type RestoreScene, startRestoreScene } from '../../agent/restore/restore-scene.fixture.ts';
import { runStaticPods } from '../../agent/restore/static-pods.fixture.ts';
import type { Authority } from '../../lib/pki/authority.ts';
import { toSecretData } from '../../lib/pki/authority-bundle.ts';
import { CLUSTER, newAuthority } from '../../lib/pki/installation.fixture.ts';
import { eventually } from '../harness/eventually.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { needs } from '../harness/tools.ts';
import { type Operator, operator } from './runbooks.ts';

const NEEDED = needs('etcd 3.6.16', 'etcdctl 3.6.16', 'versitygw');

interface Node extends AsyncDisposable {
  readonly scene: RestoreScene;
  readonly person: Operator;
  readonly authority: Authority;
}

/** A control-plane node: etcd as a static pod, an agent that may take the node's files along, one backup of an older state. */
async function backedUpNode(): Promise<Node> {
  const authority = await newAuthority();
  const scene = await startRestoreScene({
    pki: () => Promise.resolve({ authority, cluster: CLUSTER }),
    settings: ({ folder, pods }) => ({
      ETCDGUARDIAN_ATTACHMENTS: 'true',
      ETCDGUARDIAN_ATTACHMENT_PATHS: [pods.folder, folder.join('pki')].join(','),
    }),
  });
  const { folder, s3, endpoint, peerUrl, dataDir, pods, agent } = scene;
  await mkdir(folder.join('pki'));
  await writeFile(folder.join('pki', 'sa.key'), 'signs tokens', { mode: 0o600 });
  await scene.put('/registry/a', 'backed up');
  await scene.backUp();
  await scene.put('/registry/a', 'newer');
  s3StoreOptions(s3, 'backups/main');
  const person = await operator(
    folder,
    [
      ['s3://backups/prod', `s3://backups/main?endpoint=${s3.endpoint}`],
      ['us-east-1', s3.region],
      ['https://127.0.0.1:2379', endpoint],
      [/^export ETCDCTL_C.*\n/gm, ''],
      ['https://10.0.0.1:2380', peerUrl],
      ['--agent cp1=10.0.0.1', `--agent node-1=${agent.address}`],
      ['cp1', 'member-1'],
      ['/var/lib/etcd', dataDir],
      ['/etc/kubernetes/manifests', pods.folder],
      ['--root / ', `--root ${folder.join('new-disk')} `],
      // No API server runs here, and the newest point is the one before.
      [' --to-time 14:05', ' --no-quiesce'],
    ],
    {
      ETCDGUARDIAN_MANIFESTS_DIR: pods.folder,
      ETCDGUARDIAN_UNIT_DIRS: folder.join('units'),
      ETCDGUARDIAN_K3S_DIR: folder.join('rancher'),
      ETCDGUARDIAN_STATE_DIR: folder.join('by-hand'),
    },
  );
  await mkdir(folder.join('new-disk'));
  await writeFile(folder.join('root', 'guardian.key'), Buffer.alloc(32, 7), { mode: 0o600 });
  const secret = { apiVersion: 'v1', kind: 'Secret', data: toSecretData({ signer: authority, retired: [] }) };
  await writeFile(folder.join('root', 'etcdguardian-authority.yaml'), JSON.stringify(secret), {
    mode: 0o600,
  });
  return { scene, person, authority, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

test(
  'by a break-glass identity bad data goes, and a restore that stopped half-way is settled',
  NEEDED,
  async () => {
    await using node = await backedUpNode();
    const { scene, person } = node;
    assert.match(await person.next(9), /alice/);
    await person.next(9);
    person.done(9);

    await person.next(5);
    assert.equal(await scene.get('/registry/a'), 'newer');
    await person.next(5);
    assert.equal(await scene.get('/registry/a'), 'backed up');
    person.done(5);

    const [, restored = ''] = /(cli-[0-9a-f-]{36})/.exec(await person.next(6)) ?? [];
    assert.notEqual(restored, '');
    const operation = await verifiedOnly(scene);
    assert.equal(await scene.get('/registry/a'), 'backed up');
    await person.next(6, [['OPERATION', operation]]);
    await eventually(
      'the data from before is back',
      async () => (await scene.get('/registry/a')) === 'newest',
    );
    const { previousDataDir } = await scene.agent.restoreStatus({ operation: restored });
    assert.ok(existsSync(previousDataDir));
    await person.next(6, [['OPERATION', restored]]);
    assert.ok(!existsSync(previousDataDir));
    person.done(6);
  },
);

/** A restore whose coordinator is gone when the node has voted. */
async function verifiedOnly(scene: RestoreScene): Promise<string> {
  const backup = await scene.backUp();
  const { operation, stage } = scene.order(backup);
  await scene.put('/registry/a', 'newest');
  const participant = scene.participant();
  const { signal } = new AbortController();
  const wish = { holder: 'restore/gone', atLeast: 0n, operation };
  const term = await participant.takeTerm(wish, signal);
  const call = { fence: { operation, term }, budgetMs: 600_000 };
  await participant.stage(stage, call, () => undefined, signal);
  for (const step of ['quiesce', 'swap', 'startEtcd', 'verify'] as const)
    await participant.step(step, call, signal);
  return operation;
}

test('what only a dead member has is rescued', NEEDED, async () => {
  await using node = await backedUpNode();
  const { scene, person } = node;
  await person.next(4);
  await person.next(4);
  await person.next(4);
  await person.next(4);
  person.done(4);
  assert.equal(await scene.get('/registry/a'), 'newer');
  assert.ok(existsSync(`${scene.dataDir}.before/member`));
});

test('a node that is lost comes back on new hardware, keys and manifests included', NEEDED, async () => {
  await using node = await backedUpNode();
  const { scene, person } = node;
  const { folder, pods } = scene;
  const manifest = await readFile(`${pods.folder}/etcd.yaml`);
  await rename(`${pods.folder}/etcd.yaml`, folder.join('lost.yaml'));
  await eventually('etcd has ended', () => pods.pid('etcd.yaml') === undefined);
  for (const path of [scene.dataDir, folder.join('pki')]) await rm(path, { recursive: true });

  assert.match(await person.next(3), /sa\.key/);
  const newDisk = (path: string): string => folder.join('new-disk', path);
  assert.equal(await readFile(newDisk(folder.join('pki', 'sa.key')), 'utf8'), 'signs tokens');
  assert.ok(!existsSync(newDisk(`${pods.folder}/etcd.yaml`)));
  await person.next(3);
  await person.next(3);
  assert.deepEqual(await readFile(newDisk(`${pods.folder}/etcd.yaml`)), manifest);
  await using kubelet = await runStaticPods(newDisk(pods.folder));
  await person.next(3);
  assert.ok(kubelet.pid('etcd.yaml') !== undefined);
  assert.equal(await scene.get('/registry/a'), 'backed up');
  person.done(3);
});
