import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeAccess, type StorageLocation, type StoreSecret } from './store-access.ts';

const S3: StorageLocation = { provider: 'S3', bucket: 'backups', region: 'eu-1' };
const SECRET: StoreSecret = {
  values: { 'access-key-id': 'AK', 'secret-access-key': 'SECRET-VALUE\n' },
  from: 'Secret prod/s3',
};

test('a location and a Secret make the settings of an S3 store', () => {
  const location = { ...S3, prefix: 'a/b/', endpoint: 'https://minio.example.com:9000/' };
  assert.deepEqual(storeAccess(location, { ...SECRET, ca: 'PEM' }), {
    kind: 's3',
    bucket: 'backups',
    prefix: 'a/b',
    region: 'eu-1',
    endpoint: 'https://minio.example.com:9000',
    ca: { pem: 'PEM' },
    credentials: { kind: 'static', accessKeyId: 'AK', secretAccessKey: 'SECRET-VALUE' },
  });
});

test('the names of the AWS variables do as well, and a session token goes along', () => {
  const values = { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 'SK', AWS_SESSION_TOKEN: 'ST' };
  const settings = storeAccess(S3, { values, from: 'Secret prod/s3' });
  assert.deepEqual(settings.kind === 's3' && settings.credentials, {
    kind: 'static',
    accessKeyId: 'AK',
    secretAccessKey: 'SK',
    sessionToken: 'ST',
  });
});

test('without a Secret the identity of the process is used', () => {
  const settings = storeAccess(S3, { values: {}, from: 'nothing' });
  assert.deepEqual(settings.kind === 's3' && settings.credentials, { kind: 'environment' });
});

test('Local is a folder of the node', () => {
  const none = { values: {}, from: 'nothing' };
  const location = { provider: 'Local', bucket: '/var/backups/', prefix: 'etcd' };
  assert.deepEqual(storeAccess(location, none), { kind: 'local', folder: '/var/backups/etcd' });
});

const REFUSED: readonly {
  what: string;
  location?: Partial<StorageLocation>;
  values?: Record<string, string>;
  says: { code: string; message: RegExp; hint?: RegExp };
}[] = [
  {
    what: 'a Secret without the key id',
    values: { 'secret-access-key': 'SECRET-VALUE' },
    says: { code: 'store.settings', message: /Secret prod\/s3 has no access-key-id/ },
  },
  {
    what: "OSS's name of the secret",
    values: { 'access-key-id': 'AK', 'access-key-secret': 'SECRET-VALUE' },
    says: { code: 'store.settings', message: /no secret-access-key/, hint: /what OSS calls it/ },
  },
  {
    what: 'an empty value',
    values: { 'access-key-id': ' \n', 'secret-access-key': 'SECRET-VALUE' },
    says: { code: 'store.settings', message: /no access-key-id/ },
  },
  ...['OSS', 'GCS', 'Azure'].map((provider) => ({
    what: provider,
    location: { provider },
    says: { code: 'store.unsupported', message: new RegExp(provider), hint: /Use provider S3/ },
  })),
  {
    what: 'another provider',
    location: { provider: 'S3\u001b[2J' },
    says: { code: 'store.settings', message: /"S3\\u001b/ },
  },
  {
    what: 'a bucket that is none',
    location: { bucket: '../x' },
    says: { code: 'store.settings', message: /no name of a bucket/ },
  },
  {
    what: 'a prefix that leads elsewhere',
    location: { prefix: 'a/../../b' },
    says: { code: 'store.settings', message: /no prefix/ },
  },
  ...['https://user:SECRET-VALUE@host', 'https://host/path', 'ftp://host', 'host:9000', 'http://h/?x=y'].map(
    (endpoint) => ({
      what: `the endpoint ${endpoint}`,
      location: { endpoint },
      says: { code: 'store.settings', message: /endpoint/ },
    }),
  ),
  ...['relative', '/', '/a/../b', '/a\0b', ''].map((bucket) => ({
    what: `the folder ${JSON.stringify(bucket)}`,
    location: { provider: 'Local', bucket },
    says: { code: 'store.settings', message: /no folder for backups/ },
  })),
];

for (const { what, location, values, says } of REFUSED) {
  test(`${what} is refused, and no secret is repeated`, () => {
    const secret = values === undefined ? SECRET : { ...SECRET, values };
    assert.throws(
      () => storeAccess({ ...S3, ...location }, secret),
      (error: Error) => {
        assert.doesNotMatch(error.message + String((error as { hint?: string }).hint), /SECRET-VALUE/);
        assert.throws(() => {
          throw error;
        }, says);
        return true;
      },
    );
  });
}
