import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { repositorySettings, repositoryWithBackup, testKeys } from '../test/harness/repository.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { LocalStore } from '../lib/storage/local-store.ts';

test('a backup that the installation signed is read with the keys of others, where its signer is trusted', async () => {
  await using folder = await temporaryFolder();
  const { signer, verifier, description } = testKeys(1);
  const settings = repositorySettings(new LocalStore(folder.join('store')), { signer, verifier });
  const { backup } = await repositoryWithBackup(settings);
  const keyFile = folder.join('other.key');
  await writeFile(keyFile, Buffer.alloc(32, 2), { mode: 0o600 });
  const signers = folder.join('signers.pem');
  await writeFile(signers, description.keys.map(({ publicKey = '' }) => publicKey).join(''));
  const args = ['backup', 'show', backup.id, ...localStoreOptions(folder), '--key-file', keyFile];
  const cli = guardianCli(folder);
  assert.notEqual((await cli.run(args)).status, 0);
  const { status, stderr } = await cli.run(args, { env: { ETCDGUARDIAN_TRUSTED_SIGNERS: signers } });
  assert.equal(status, 0, stderr);
});

test('a key file that a group may read is refused, but for a pod that is told so', async () => {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.join('store')), testKeys(1));
  const { backup } = await repositoryWithBackup(settings);
  const keyFile = folder.join('mounted');
  await writeFile(keyFile, Buffer.alloc(32, 1));
  await chmod(keyFile, 0o440);
  const args = ['backup', 'show', backup.id, ...localStoreOptions(folder), '--key-file', keyFile];
  const cli = guardianCli(folder);
  await cli.fails(5, 'keys.permissions', args);
  const { status, stderr } = await cli.run(args, { env: { ETCDGUARDIAN_KEY_PERMISSIONS: 'ignore' } });
  assert.equal(status, 0, stderr);
});
