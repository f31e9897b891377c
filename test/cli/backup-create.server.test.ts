import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createAuthority } from '../harness/certificates.ts';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { backupAnswer } from '../harness/guardian-answers.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions, s3StoreOptions } from '../harness/guardian-store.ts';
import { startS3Server } from '../harness/s3.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const ETCD = ['etcd 3.6.16', 'etcdctl 3.6.16'] as const;
const UID = '6f2d1f0e-8a54-4c39-9a5e-2f1f6f0c7b11';
const KUBE_SYSTEM = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'kube-system', uid: UID },
});

test(
  'a backup over mutual TLS into an S3 server with TLS tells id, revision, place, sizes and proof',
  needs(...ETCD, 'versitygw'),
  async () => {
    await using folder = await temporaryFolder();
    await using authority = await createAuthority();
    await using etcd = await startEtcd({ tls: { authority, clientCertAuth: true } });
    await using s3 = await startS3Server({ tls: { authority } });
    await s3.createBucket('backups');
    await etcd.etcdctl('put', '/registry/namespaces/kube-system', KUBE_SYSTEM);
    const client = await authority.issue({ commonName: 'backup', uses: ['client'] });
    const cli = guardianCli(folder);

    const backup = await cli.json(backupAnswer, [
      ...['backup', 'create', '--endpoints', etcd.endpoint, '--cacert', authority.certificateFile],
      ...['--cert', client.certificateFile, '--key', client.keyFile, '--label', 'schedule=nightly'],
      ...[...s3StoreOptions(s3, 'backups/prod'), '--s3-ca', authority.certificateFile],
    ]);

    const { revision } = await etcd.status();
    assert.equal(backup.revision, revision.toString());
    assert.equal(backup.cluster, UID, 'named by the uid of namespace kube-system');
    assert.match(
      backup.location,
      new RegExp(`^s3://backups/prod/clusters/${UID}/timelines/000001/chains/${backup.id}$`),
    );
    assert.equal(backup.totalKeys, 1);
    assert.ok(backup.totalSize >= backup.storedSize);
    assert.deepEqual(
      { kind: backup.proof.kind, hash: backup.proof.hash, revision: backup.proof.revision },
      { kind: 'live-hashkv', hash: backup.hashKV.hash, revision: backup.revision },
    );
    assert.deepEqual(backup.labels, { schedule: 'nightly' });
    assert.equal(backup.encrypted, false);
  },
);

test(
  'user and password come from the options, from a file or from the environment',
  needs(...ETCD),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ rootPassword: 'correct: horse' });
    const cli = guardianCli(folder);
    const passwordFile = folder.join('password');
    await writeFile(passwordFile, 'correct: horse\n');
    const create = ['backup', 'create', '--cluster', 'prod', ...localStoreOptions(folder)];
    const endpoint = ['--endpoints', etcd.endpoint];

    await cli.json(backupAnswer, [...create, ...endpoint, '--user', 'root:correct: horse']);
    await cli.json(backupAnswer, [...create, ...endpoint, '--user', 'root', '--password-file', passwordFile]);
    const env = {
      ETCDCTL_ENDPOINTS: etcd.endpoint,
      ETCDCTL_USER: 'root',
      ETCDCTL_PASSWORD: 'correct: horse',
    };
    const backup = await cli.json(backupAnswer, create, { env });
    assert.equal(backup.proof.kind, 'live-hashkv');
  },
);

test(
  'a proof is asked for as the options say, and what could not be proven is said',
  needs(...ETCD),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await putOne(etcd, 'a', 'b');
    const cli = guardianCli(folder);
    const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, ...store];

    const off = await cli.json(backupAnswer, [...create, '--proof', 'off']);
    assert.deepEqual(off.proof, { kind: 'none', reason: 'no proof was asked for' });
    const tooLarge = await cli.json(backupAnswer, [...create, '--proof-budget', '1Ki']);
    assert.match(String(tooLarge.proof.reason), /larger than the proof's budget \(1024 bytes\)/);
    await cli.fails(3, 'backup.unproven', [...create, '--proof', 'required', '--proof-budget', '1Ki']);
    const required = await cli.json(backupAnswer, [...create, '--proof', 'required']);
    assert.equal(required.proof.kind, 'live-hashkv');

    const { stdout } = await cli.run(['backup', 'list', ...store]);
    assert.deepEqual(stdout.match(/plain, \w+$/gm)?.sort(), [
      'plain, proven',
      'plain, unproven',
      'plain, unproven',
    ]);
  },
);

test('a cluster without kube-system has to be named', needs(...ETCD), async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const create = ['backup', 'create', '--endpoints', etcd.endpoint, ...localStoreOptions(folder)];
  const told = await guardianCli(folder).fails(1, 'backup.cluster-name', create);
  assert.match(told, /what to do: .*--cluster NAME/);
});

test('a person reads the result first, then why, and progress apart from it', needs(...ETCD), async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  await putOne(etcd, 'a', 'b');
  const cli = guardianCli(folder);
  const create = [
    ...['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'],
    ...localStoreOptions(folder),
  ];
  const told = await cli.run(create);
  assert.equal(told.status, 0, told.stderr);
  assert.match(told.stdout, /^backup \S+ of cluster prod\n {2}revision 2, .* NOT encrypted .*\n {2}proven: /);
  assert.match(told.stderr, /reading from default \(http.*\n(.*\n)*verified: revision 2, 1 key,/);
  const story = ['verified', 'proven', 'stored', 'committing'];
  assert.deepEqual(
    told.stderr.match(/^(verified|proven|stored|committing)/gm),
    story,
    'however small it is and fast the store',
  );
  const quiet = await cli.run([...create, '--quiet', '--output', 'yaml']);
  assert.equal(quiet.stderr, '');
  assert.match(quiet.stdout, /^id: \S+\ncluster: prod\ntimeline: "000001"\n/);
});

test('a backup that this machine has no place to note is a backup', needs(...ETCD), async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  await putOne(etcd, 'a', 'b');
  const notAFolder = folder.join('not-a-folder');
  await writeFile(notAFolder, '');
  const cli = guardianCli(folder);
  const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];

  const backup = await cli.json(backupAnswer, [...create, ...localStoreOptions(folder)], {
    env: { ETCDGUARDIAN_STATE_DIR: notAFolder },
  });

  assert.equal(backup.proof.kind, 'live-hashkv');
});
