import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { storeAccess } from '../../lib/storage/store-access.ts';
import { openStore } from '../../lib/storage/open-store.ts';
import { accessOf } from './task-request.ts';

const NO_KEYS = { encryption: new Uint8Array(0), encryptionFrom: '', signing: new Uint8Array(0) };

test('a store that a tenant chose is not reached inside the network, unless it is allowed', async () => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const look = async (publicAddressesOnly: boolean, allowedAddresses: string[]): Promise<unknown> => {
    const { location, secret } = accessOf({
      store: {
        ...{ provider: 'S3', bucket: 'backups', prefix: '', region: 'r', ca: '' },
        endpoint: `http://127.0.0.1:${port}`,
        credentials: { 'access-key-id': 'AK', 'secret-access-key': 'SK' },
        ...{ publicAddressesOnly, allowedAddresses },
      },
      keys: NO_KEYS,
    });
    const store = await openStore(storeAccess(location, secret));
    return store.stat('marker');
  };
  try {
    await assert.rejects(look(true, []), { code: 'store.forbidden-address' });
    assert.equal(asked, 0);
    // The server answers that there is no such bucket.
    await assert.rejects(look(true, ['127.0.0.0/8']), { code: /^store\.(missing|not-found)$/ });
    await assert.rejects(look(false, []), { code: /^store\.(missing|not-found)$/ });
    assert.equal(asked, 2);
  } finally {
    server.close();
  }
});
