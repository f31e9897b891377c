import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeIdentity } from './store-identity.ts';
import { parseStoreUrl } from './store-url.ts';

const LOCATION = 's3://backups/prod';

const CASES: readonly (readonly [holds: string, endpoint: string | undefined, identity: string])[] = [
  ['a bucket of Amazon’s is known by its name', undefined, LOCATION],
  ['by whatever address of Amazon’s', 'https://s3.eu-west-1.amazonaws.com', LOCATION],
  ['one on another server by both', 'https://minio:9000', `${LOCATION}?endpoint=https://minio:9000`],
  ['however the address is written', 'HTTPS://MinIO:9000/', `${LOCATION}?endpoint=https://minio:9000`],
  ['with the usual port or without', 'https://minio:443', `${LOCATION}?endpoint=https://minio`],
  [
    'whose name is not Amazon’s',
    'https://amazonaws.com.example',
    `${LOCATION}?endpoint=https://amazonaws.com.example`,
  ],
];

for (const [holds, endpoint, identity] of CASES) {
  test(holds, () => {
    const settings = { kind: 's3', bucket: 'backups', prefix: 'prod', endpoint } as const;
    assert.equal(storeIdentity(LOCATION, settings), identity);
  });
}

test('a folder is known by its path', () => {
  assert.equal(storeIdentity('file:///backups', parseStoreUrl('file:///backups')), 'file:///backups');
});
