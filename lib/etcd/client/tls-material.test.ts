import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createAuthority } from '../../../test/harness/certificates.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { tlsMaterialSource } from './tls-material.ts';

test('the same files give the same object, changed ones a new one', async () => {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority();
  const [old, fresh] = [await authority.issue(), await authority.issue()];
  const [certFile, keyFile] = [folder.join('tls.crt'), folder.join('tls.key')];
  await writeFile(certFile, old.certificate);
  await writeFile(keyFile, old.key);
  const source = tlsMaterialSource({ caFile: authority.certificateFile, certFile, keyFile });

  const first = await source.current();
  assert.equal(first.ca, authority.certificate);
  assert.equal(first.identity?.key, old.key);
  assert.equal(await source.current(), first);

  await writeFile(certFile, fresh.certificate);
  assert.equal(await source.current(), first, 'a half-written pair is not taken');
  assert.match(source.complaint ?? '', /tls\.crt and .*tls\.key: the private key does not belong/);

  await writeFile(keyFile, fresh.key);
  const second = await source.current();
  assert.equal(second.identity?.cert, fresh.certificate);
  assert.equal(second.identity.key, fresh.key);
  assert.equal(second.ca, first.ca);
  assert.equal(source.complaint, undefined);
});

test('looks at the same files at the same time give the same object', async () => {
  await using authority = await createAuthority();
  const { certificateFile: certFile, keyFile } = await authority.issue();
  const source = tlsMaterialSource({ caFile: authority.certificateFile, certFile, keyFile });
  const looks = await Promise.all(Array.from({ length: 5 }, () => source.current()));
  for (const look of looks) assert.equal(look, looks[0]);
});

test('what was good stays while files are cut short, empty, gone or unreadable', async () => {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority();
  const pair = await authority.issue();
  const [caFile, certFile, keyFile] = [folder.join('ca'), folder.join('crt'), folder.join('key')];
  await writeFile(caFile, authority.certificate);
  await writeFile(certFile, pair.certificate);
  await writeFile(keyFile, pair.key);
  const source = tlsMaterialSource({ caFile, certFile, keyFile });
  const good = await source.current();

  const whole: [file: string, content: string][] = [
    [caFile, authority.certificate],
    [certFile, pair.certificate],
    [keyFile, pair.key],
  ];
  for (const [file, content] of whole) {
    for (const damaged of ['', content.slice(0, content.length / 2), 'nonsense', undefined]) {
      if (damaged === undefined) await rm(file);
      else await writeFile(file, damaged);
      assert.deepEqual(await source.current(), good);
      assert.ok(source.complaint?.includes(file), `${file} as ${String(damaged).slice(0, 20)}`);
    }
    await writeFile(file, content);
    await source.current();
    assert.equal(source.complaint, undefined);
  }
});

test('a Secret that is swapped by its symbolic link is taken as a whole', async () => {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority();
  const pairs = [await authority.issue(), await authority.issue()];
  for (const [index, pair] of pairs.entries()) {
    await mkdir(folder.join(`..${index}`));
    await writeFile(folder.join(`..${index}/tls.crt`), pair.certificate);
    await writeFile(folder.join(`..${index}/tls.key`), pair.key);
  }
  await symlink('..0', folder.join('..data'));
  await symlink('..data/tls.crt', folder.join('tls.crt'));
  await symlink('..data/tls.key', folder.join('tls.key'));
  const source = tlsMaterialSource({ certFile: folder.join('tls.crt'), keyFile: folder.join('tls.key') });
  assert.equal((await source.current()).identity?.key, pairs[0]?.key);

  await symlink('..1', folder.join('..data_tmp'));
  await rename(folder.join('..data_tmp'), folder.join('..data'));
  assert.equal((await source.current()).identity?.key, pairs[1]?.key);
});

test('with nothing good yet, the reason and the file are named', async () => {
  await using folder = await temporaryFolder();
  await using authority = await createAuthority();
  const [one, other] = [await authority.issue(), await authority.issue()];
  const cases: [settings: Parameters<typeof tlsMaterialSource>[0], reason: RegExp][] = [
    [{ caFile: folder.join('missing') }, /missing: ENOENT/],
    [{ ca: 'no certificate' }, /the given ca: holds no PEM certificate/],
    [{ certFile: one.certificateFile, keyFile: other.keyFile }, /does not belong to the certificate/],
    [{ cert: one.certificate, key: 'nonsense' }, /not a private key/],
    [{ cert: one.certificate, key: encryptedKey() }, /the private key is encrypted/],
  ];
  for (const [settings, reason] of cases) {
    await assert.rejects(tlsMaterialSource(settings).current(), (error) => {
      assert.ok(hasCode(error, 'etcd.certificate'));
      assert.match(error.message, reason);
      return true;
    });
  }
});

test('settings that contradict each other are refused at once', () => {
  for (const settings of [{ certFile: 'a' }, { key: 'b' }, { ca: 'a', caFile: 'b' }]) {
    assert.throws(
      () => tlsMaterialSource(settings),
      (error) => hasCode(error, 'etcd.settings'),
    );
  }
});

function encryptedKey(): string {
  return generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
  }).privateKey;
}
