import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const KEYS = [
  { provider: 'kms-v2', key: 'vault' },
  { provider: 'aescbc', key: 'key1' },
];

test(
  'the keys that encrypted Secrets need are told at the backup, with it, in a file and after a restore',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const secret = (name: string, value: string): Promise<bigint> =>
      putOne(etcd, `/registry/secrets/ns/${name}`, value);
    await secret('a', 'k8s:enc:kms:v2:vault:sealed');
    await secret('b', 'k8s:enc:kms:v2:vault:sealed too');
    await secret('c', 'k8s:enc:aescbc:v1:key1:sealed');
    await secret('d', 'k8s:enc:aescbc:v1:old:superseded');
    await secret('d', 'k8s\u0000plain');
    const file = folder.join('snapshot.db');
    await etcd.etcdctl('snapshot', 'save', file);
    const cli = guardianCli(folder);
    const store = ['--cluster', 'prod', ...localStoreOptions(folder)];

    const created = await cli.run(['backup', 'create', '--endpoints', etcd.endpoint, ...store]);
    assert.match(
      created.stderr,
      /^warning: Secrets are encrypted at rest with kms-v2 vault, aescbc key1: a restore needs that EncryptionConfiguration/m,
    );
    const shown = await cli.run(['backup', 'show', 'latest', ...store]);
    assert.match(shown.stdout, /^needs encryption keys: +kms-v2 vault, aescbc key1$/m);
    const answer = z.object({ encryptionAtRest: z.unknown() });
    const { encryptionAtRest } = await cli.json(answer, ['backup', 'show', 'latest', ...store]);
    assert.deepEqual(encryptionAtRest, KEYS);
    const inspected = await cli.run(['snapshot', 'inspect', file]);
    assert.match(
      inspected.stdout,
      /^needs encryption keys: +kms-v2 vault \(2 live\), aescbc key1 \(1 live\)$/m,
    );
    const restored = await cli.run(['restore', ...store, '--data-dir', folder.join('restored')]);
    assert.match(
      restored.stdout,
      /API servers need an EncryptionConfiguration with kms-v2 vault, aescbc key1\./,
    );
    assert.equal((await cli.run(['backup', 'verify', 'latest', '--deep', ...store])).status, 0);
  },
);
