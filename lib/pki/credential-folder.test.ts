import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { credentialFolder, saveCredentials } from './credential-folder.ts';
import { type CredentialTexts, parseCredentials } from './credentials.ts';
import { agentOf, credentialsFor, newAuthority } from './installation.fixture.ts';

const authority = await newAuthority();
const old = await credentialsFor(authority, agentOf('node-1'));
const renewed = await credentialsFor(authority, agentOf('node-1'));
const elsewhere = await credentialsFor(await newAuthority(), agentOf('node-1'));

async function writeFiles(folder: string, texts: Partial<CredentialTexts>): Promise<void> {
  const names = { cert: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const;
  for (const [what, name] of Object.entries(names)) {
    const text = texts[what as keyof typeof names];
    if (text !== undefined) await writeFile(join(folder, name), text);
  }
}

test('what is saved is read, the same object until it changes', async () => {
  await using folder = await temporaryFolder();
  const place = folder.join('pki');
  await saveCredentials(place, old);
  const source = credentialFolder(place);
  const first = await source.current();
  assert.equal(first.cert, old.cert);
  assert.equal(await source.current(), first);
  await saveCredentials(place, renewed);
  const second = await source.current();
  assert.equal(second.cert, renewed.cert);
  assert.equal(second.key, renewed.key);
  assert.equal(source.complaint, undefined);
});

test('only the owner can read them, and one generation is kept', async () => {
  await using folder = await temporaryFolder();
  const place = folder.join('pki');
  for (const texts of [old, renewed, old]) await saveCredentials(place, texts);
  assert.equal((await stat(place)).mode & 0o777, 0o700);
  for (const name of ['tls.crt', 'tls.key', 'ca.crt'])
    assert.equal((await stat(join(place, name))).mode & 0o777, 0o600, name);
  const names = (await readdir(place)).map((name) => name.replace(/-.*/, '-'));
  assert.deepEqual(names.sort(), ['..data', '..generation-', 'ca.crt', 'tls.crt', 'tls.key']);
});

test('what a killed save left behind is in nobody’s way', async () => {
  await using folder = await temporaryFolder();
  await saveCredentials(folder.path, old);
  await mkdir(folder.join('..generation-dead'));
  await symlink('nowhere', folder.join('..data.new'));
  await saveCredentials(folder.path, renewed);
  assert.equal((await credentialFolder(folder.path).current()).cert, renewed.cert);
  assert.equal((await readdir(folder.path)).includes('..generation-dead'), false);
});

test('what does not fit together is never saved', async () => {
  await using folder = await temporaryFolder();
  await assert.rejects(saveCredentials(folder.path, { ...old, key: renewed.key }), {
    code: 'pki.credentials',
  });
  assert.deepEqual(await readdir(folder.path), []);
});

test('a place that can’t be written is told', async () => {
  await using folder = await temporaryFolder();
  await writeFile(folder.join('pki'), 'a file');
  await assert.rejects(saveCredentials(folder.join('pki'), old), { code: 'pki.unwritable', message: /pki/ });
});

const UNFIT: readonly { what: string; texts: Partial<CredentialTexts>; says: RegExp }[] = [
  {
    what: 'an old key under a new certificate',
    texts: { cert: renewed.cert },
    says: /doesn't belong to the certificate/,
  },
  {
    what: 'an old authority under a new certificate',
    texts: { cert: elsewhere.cert, key: elsewhere.key },
    says: /none of the authorities/,
  },
  {
    what: 'half a certificate',
    texts: { cert: old.cert.slice(0, 200) },
    says: /the certificate of .* can't be read/,
  },
  { what: 'an empty key', texts: { key: '' }, says: /private key of .* holds no usable/ },
  { what: 'an empty bundle', texts: { ca: '' }, says: /none of the authorities/ },
  {
    what: 'a leaf for an authority',
    texts: { ca: old.cert },
    says: /an authority of .* is the certificate of someone who can't issue/,
  },
];

for (const { what, texts, says } of UNFIT) {
  test(`${what} is never taken: not at the start, and later what was good stays`, async () => {
    await using folder = await temporaryFolder();
    await writeFiles(folder.path, { ...old, ...texts });
    await assert.rejects(credentialFolder(folder.path).current(), { message: says });
    await writeFiles(folder.path, old);
    const source = credentialFolder(folder.path);
    const good = await source.current();
    await writeFiles(folder.path, texts);
    assert.equal(await source.current(), good);
    assert.match(source.complaint ?? '', says);
    await writeFiles(folder.path, elsewhere);
    assert.equal((await source.current()).cert, elsewhere.cert);
    assert.equal(source.complaint, undefined);
  });
}

test('missing files are waited for, by name', async () => {
  await using folder = await temporaryFolder();
  const source = credentialFolder(folder.join('pki'));
  await assert.rejects(source.current(), {
    code: 'pki.credentials',
    retryable: true,
    message: /no credentials in .*pki/,
  });
  await saveCredentials(folder.join('pki'), old);
  assert.equal((await source.current()).cert, old.cert);
});

test('a Secret that kubelet swaps a thousand times is never read mixed', async () => {
  await using folder = await temporaryFolder();
  const generation = async (name: string, texts: CredentialTexts): Promise<void> => {
    await mkdir(folder.join(name));
    await writeFiles(folder.join(name), texts);
  };
  await generation('..a', old);
  await generation('..b', renewed);
  const swapTo = async (name: string): Promise<void> => {
    await symlink(name, folder.join('..data_tmp'));
    await rename(folder.join('..data_tmp'), folder.join('..data'));
  };
  await swapTo('..a');
  for (const name of ['tls.crt', 'tls.key', 'ca.crt']) await symlink(join('..data', name), folder.join(name));

  const source = credentialFolder(folder.path);
  await source.current();
  let swaps = 0;
  const swapping = (async () => {
    while (swaps < 1_000) await swapTo((swaps += 1) % 2 === 0 ? '..a' : '..b');
  })();
  while (swaps < 1_000) {
    const { cert, key, ca } = await source.current();
    parseCredentials({ cert, key, ca }, 'what was read');
  }
  await swapping;
  assert.equal((await source.current()).cert, await readFile(folder.join('tls.crt'), 'utf8'));
  await rm(folder.join('..data'));
});
