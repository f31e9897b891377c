import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createAuthority } from './certificates.ts';

test("a leaf is its authority's, for its hosts, and has its key", async () => {
  await using authority = await createAuthority();
  const issued = await authority.issue({
    commonName: 'backup',
    organization: 'guardians',
    hosts: ['a.test', '10.0.0.1'],
  });
  const leaf = new X509Certificate(issued.certificate);
  assert.ok(leaf.verify(new X509Certificate(authority.certificate).publicKey));
  assert.ok(leaf.checkPrivateKey(createPrivateKey(issued.key)));
  assert.equal(leaf.subject, 'CN=backup\nO=guardians');
  assert.equal(leaf.checkHost('a.test'), 'a.test');
  assert.equal(leaf.checkIP('10.0.0.1'), '10.0.0.1');
  assert.equal(leaf.checkHost('localhost'), undefined);
});

test("an expired leaf's time is over, and another authority's leaf isn't ours", async () => {
  await using authority = await createAuthority();
  await using other = await createAuthority();
  const expired = new X509Certificate((await authority.issue({ expired: true })).certificate);
  assert.ok(expired.validToDate < new Date());
  assert.equal(expired.verify(new X509Certificate(other.certificate).publicKey), false);
});

test('the files go with the authority', async () => {
  let file: string;
  {
    await using authority = await createAuthority();
    file = (await authority.issue()).keyFile;
    assert.ok(existsSync(file));
  }
  assert.equal(existsSync(file), false);
});
