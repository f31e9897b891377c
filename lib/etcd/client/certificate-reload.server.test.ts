import assert from 'node:assert/strict';
import { copyFile, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type Certificate, createAuthority } from '../../../test/harness/certificates.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';

test(
  'a running client follows its certificates to another CA, and stays with the old pair until the new one is whole',
  needs('etcd 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using before = await createAuthority('before');
    await using after = await createAuthority('after');
    const [caFile, certFile, keyFile] = ['ca.crt', 'tls.crt', 'tls.key'].map((name) => folder.join(name));
    assert.ok(caFile !== undefined && certFile !== undefined && keyFile !== undefined);
    const old = await before.issue({ uses: ['client'] });
    const renewed = await after.issue({ uses: ['client'] });
    await copyFile(before.certificateFile, caFile);
    await copyFile(old.certificateFile, certFile);
    await copyFile(old.keyFile, keyFile);

    await using etcd = await startEtcd({ tls: { authority: before, clientCertAuth: true } });
    await using client = connectEtcd({ endpoints: [etcd.endpoint], tls: { caFile, certFile, keyFile } });
    const watch = client.watch({ key: 'a' })[Symbol.asyncIterator]();
    await watch.next();

    // Half-written: the certificate is new, the key still the old one.
    await copyFile(renewed.certificateFile, certFile);
    assert.equal((await client.status(etcd.endpoint)).isLeader, true);
    await writeFile(keyFile, renewed.key.slice(0, 100));
    assert.equal((await client.status(etcd.endpoint)).isLeader, true);
    await using late = connectEtcd({ endpoints: [etcd.endpoint], tls: { caFile, certFile, keyFile } });
    await assert.rejects(late.status(etcd.endpoint), (error) => hasCode(error, 'etcd.certificate'));

    // Whole, but etcd doesn't know it yet: told, with our certificate's name.
    await copyFile(renewed.keyFile, keyFile);
    await assert.rejects(client.status(etcd.endpoint), (error) => {
      return hasCode(error, 'etcd.tls') && error.message.includes('issued by CN=after');
    });
    // What runs on the old connection goes on.
    const event = watch.next();
    await etcd.etcdctl('put', 'a', '1');
    assert.equal((await event).done, false);
    await etcd.kill();
    await assert.rejects(watch.next(), (error) => hasCode(error, 'etcd.connection-lost'));

    // etcd comes back under the other CA only.
    await copyFile(after.certificateFile, caFile);
    const server = await after.issue();
    await etcd.restart({ args: [...tlsArgs(server), `--trusted-ca-file=${after.certificateFile}`] });
    assert.equal((await client.status(etcd.endpoint)).isLeader, true);
  },
);

test('a Secret swapped by its link is followed', needs('etcd 3.6.16'), async () => {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority();
  await using etcd = await startEtcd({ tls: { authority, clientCertAuth: true } });
  const expired = await authority.issue({ uses: ['client'], expired: true });
  const fresh = await authority.issue({ uses: ['client'] });
  for (const [name, pair] of Object.entries({ '..1': expired, '..2': fresh })) {
    await mkdir(folder.join(name));
    await copyFile(pair.certificateFile, folder.join(`${name}/tls.crt`));
    await copyFile(pair.keyFile, folder.join(`${name}/tls.key`));
  }
  await symlink('..1', folder.join('..data'));
  await using client = connectEtcd({
    endpoints: [etcd.endpoint],
    tls: {
      caFile: authority.certificateFile,
      certFile: folder.join('..data/tls.crt'),
      keyFile: folder.join('..data/tls.key'),
    },
  });
  await assert.rejects(client.status(etcd.endpoint), (error) => {
    return hasCode(error, 'etcd.tls') && error.message.includes(folder.join('..data/tls.crt'));
  });
  await symlink('..2', folder.join('..data_tmp'));
  await rename(folder.join('..data_tmp'), folder.join('..data'));
  assert.equal((await client.status(etcd.endpoint)).isLeader, true);
});

function tlsArgs({ certificateFile, keyFile }: Certificate): string[] {
  return [`--cert-file=${certificateFile}`, `--key-file=${keyFile}`];
}
