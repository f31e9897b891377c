import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeSettings } from './repository-options.ts';
import type { Terminal } from './terminal.ts';

test('where the connections of a store may lead, a pod is told by a variable', () => {
  const networkWith = (env: Terminal['env']): unknown => {
    const settings = storeSettings({ store: 's3://bucket/prefix' }, { env } as Terminal);
    return settings.kind === 's3' && settings.network;
  };
  assert.equal(networkWith({}), undefined);
  assert.deepEqual(networkWith({ ETCDGUARDIAN_STORE_HOSTS: '' }), { publicOnly: true, allowed: [] });
  assert.deepEqual(networkWith({ ETCDGUARDIAN_STORE_HOSTS: 'minio:9000,10.0.0.0/8' }), {
    publicOnly: true,
    allowed: ['minio:9000', '10.0.0.0/8'],
  });
});
