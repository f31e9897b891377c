import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatKeyFile } from '../../lib/encryption/key-file.ts';
import { createKeys } from '../../lib/encryption/keys.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { tenantEndpoints } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import { at, backupNamed } from './drill-backups.fixture.ts';
import { type DrillInput, drillInput } from './drill-input.ts';

const PLACE = 's3://bkt/p/clusters/c1/timelines/000002/chains/20261101t0000z';
const LOCATION: StorageLocation = { provider: 'S3', bucket: 'bkt', prefix: 'p', credentialsSecret: 's3' };
const VALUES = { 'access-key-id': 'id', 'secret-access-key': 'secret' };

describe('what a drill is told', async () => {
  const signing = Buffer.from(formatKeyFile((await createKeys('signing', at(0))).keys));
  const inputOf = (
    { location = {}, place = PLACE }: { location?: Partial<StorageLocation>; place?: string } = {},
    store: Partial<RunSecrets['store']> = {},
    encryption: Uint8Array = new Uint8Array(),
  ): Promise<DrillInput> => {
    const { spec, status = {} } = backupNamed('a', {
      spec: { storageLocation: { ...LOCATION, ...location } },
    });
    return drillInput(
      { spec, status: { ...status, snapshotLocation: place } },
      {
        store: { values: VALUES, from: 'Secret a/s3', ...store },
        keys: { encryption, encryptionFrom: 'k', signing },
      },
      tenantEndpoints(['minio.example.com:9000', '10.0.0.0/8']),
    );
  };

  test('a full backup, at Amazon, without encryption', async () => {
    const { arguments: args, environment, files } = await inputOf();
    assert.deepEqual(args, ['--store', 's3://bkt/p', '--cluster', 'c1', '--backup', '20261101t0000z']);
    assert.deepEqual(environment, {
      ETCDGUARDIAN_TRUSTED_SIGNERS: '/drill/order/signers.pem',
      ETCDGUARDIAN_KEY_PERMISSIONS: 'ignore',
      AWS_ACCESS_KEY_ID: 'id',
      AWS_SECRET_ACCESS_KEY: 'secret',
    });
    assert.deepEqual(Object.keys(files), ['signers.pem']);
    const signers = Buffer.from(files['signers.pem'] ?? '').toString();
    assert.match(signers, /^-----BEGIN PUBLIC KEY-----/);
    assert.doesNotMatch(signers, /PRIVATE/);
  });

  test('an increment, encrypted, elsewhere', async () => {
    const endpoint = 'https://minio:9000';
    const { arguments: args, files } = await inputOf(
      { location: { endpoint, region: 'r' }, place: `${PLACE}?revision=42` },
      { ca: 'PEM', values: { ...VALUES, 'session-token': 't' } },
      Buffer.from('key file'),
    );
    assert.deepEqual(args, [
      ...['--store', 's3://bkt/p', '--s3-endpoint', endpoint, '--s3-region', 'r'],
      ...['--s3-ca', '/drill/order/store-ca.crt', '--cluster', 'c1'],
      ...['--to-revision', '42', '--timeline', '000002', '--key-file', '/drill/order/backup-keys'],
    ]);
    assert.equal(Buffer.from(files['backup-keys'] ?? '').toString(), 'key file');
    assert.equal(Buffer.from(files['store-ca.crt'] ?? '').toString(), 'PEM');
  });

  test('an endpoint that tenants may name leads where their backups may go, and no further', async () => {
    const hostsAt = async (endpoint: string): Promise<string | undefined> =>
      (await inputOf({ location: { endpoint } })).environment.ETCDGUARDIAN_STORE_HOSTS;
    assert.equal(await hostsAt('https://minio.example.com:9000'), 'minio.example.com:9000,10.0.0.0/8');
    // Who names another may back up the whole cluster.
    assert.equal(await hostsAt('https://minio:9000'), undefined);
  });

  test('without keys for the store the pod is who its service account is', async () => {
    const { environment } = await inputOf({ location: { prefix: '' } }, { values: {} });
    assert.deepEqual(
      Object.keys(environment).filter((name) => name.startsWith('AWS_')),
      [],
    );
  });

  test('a folder on a node, another provider and a place that is none are refused', async () => {
    await assert.rejects(inputOf({ location: { provider: 'Local', bucket: '/var/b', prefix: '' } }), {
      code: 'controlplane.drill',
    });
    await assert.rejects(inputOf({ location: { provider: 'GCS' } }), { code: 'store.unsupported' });
    await assert.rejects(inputOf({ place: 's3://elsewhere' }), { code: 'controlplane.snapshot-location' });
  });
});
