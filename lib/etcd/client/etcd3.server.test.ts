import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createAuthority } from '../../../test/harness/certificates.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { etcd3Source } from './etcd3.ts';

test(
  'keys, leases and locks work over TLS with a password, and follow new certificates',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using authority = await createAuthority();
    const [first, second] = [
      await authority.issue({ uses: ['client'] }),
      await authority.issue({ uses: ['client'] }),
    ];
    await using etcd = await startEtcd({ tls: { authority, clientCertAuth: true }, rootPassword: 'secret' });
    const [certFile, keyFile] = [folder.join('crt'), folder.join('key')];
    await copyFile(first.certificateFile, certFile);
    await copyFile(first.keyFile, keyFile);
    using source = etcd3Source({
      endpoints: [etcd.endpoint.replace('127.0.0.1', 'localhost')],
      tls: { caFile: authority.certificateFile, certFile, keyFile },
      credentials: { username: 'root', password: 'secret' },
    });

    const client = await source.current();
    await client.put('a').value('1');
    const lease = client.lease(3_600);
    await lease.put('b').value('2');
    const lock = await client.lock('job').ttl(3_600).acquire();
    assert.equal(await source.current(), client);

    await copyFile(second.certificateFile, certFile);
    await copyFile(second.keyFile, keyFile);
    const renewed = await source.current();
    assert.notEqual(renewed, client);
    assert.equal(await renewed.get('a').string(), '1');
    await assert.rejects(renewed.lock('job').acquire(), /lock/i);
    await lock.release();
    await lease.revoke();
    assert.equal(await renewed.get('b').string(), null);
  },
);

test('what the library has no means for is refused', () => {
  const credentials = { username: 'root', password: 'x' };
  for (const settings of [
    { endpoints: ['http://a:1', 'https://b:1'] },
    { endpoints: ['https://10.0.0.1:1'] },
    { endpoints: ['https://a:1'], tls: { insecureSkipVerify: true } },
    { endpoints: ['https://a:1'], tls: { serverName: 'b' }, credentials },
  ]) {
    assert.throws(
      () => etcd3Source(settings),
      (error) => hasCode(error, 'etcd.settings'),
    );
  }
});
