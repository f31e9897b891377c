import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import {
  type BackupAnswer,
  backupAnswer,
  listAnswer,
  restoredAnswer,
  verifiedAnswer,
} from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const UNSOUND = 3;
const REFUSED = 5;

describe('a backup made with a key file', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let backup: BackupAnswer;

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
    await putOne(etcd, 'a', 'b');
    await writeFile(folder.join('passphrase'), 'correct horse battery staple\n');
    for (const name of ['ours', 'other']) await makeKeys(name);
    backup = await back('sealed', 'ours.key');
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const makeKeys = async (name: string, ...more: string[]): Promise<void> => {
    const files = ['--out', folder.join(`${name}.key`), '--recovery-out', folder.join(`${name}.pem`)];
    assert.equal((await cli.run(['keys', 'create', ...files, ...more])).status, 0);
  };
  const withKey = (store: string, key?: string): string[] => [
    ...localStoreOptions(folder, store),
    ...(key === undefined ? [] : ['--key-file', folder.join(key)]),
  ];
  const back = async (store: string, key?: string): Promise<BackupAnswer> => {
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
    return cli.json(backupAnswer, [...create, ...withKey(store, key)]);
  };
  let restores = 0;
  const restore = (store: string, key?: string): string[] => [
    ...['restore', '--data-dir', folder.join(`data-${(restores += 1)}`), ...withKey(store, key)],
  ];
  const restoresWhole = async (made: BackupAnswer, args: readonly string[]): Promise<void> => {
    const { snapshot } = await cli.json(restoredAnswer, [...args, '--backup', made.id]);
    assert.equal(snapshot.hashKV, made.hashKV.hash);
  };

  test('opens with no other key, and with none: one clear error each', async () => {
    const verify = ['backup', 'verify', backup.id, '--deep'];
    await cli.fails(REFUSED, 'signature.untrusted', [...verify, ...withKey('sealed', 'other.key')]);
    await cli.fails(REFUSED, 'signature.untrusted', restore('sealed', 'other.key'));
    const none = await cli.fails(REFUSED, 'encryption.key-missing', restore('sealed'));
    assert.match(none, new RegExp(`what to do: .*${backup.recipients[0]?.id ?? ''}`));
    await cli.fails(REFUSED, 'keys.unreadable', restore('sealed', 'missing.key'));
  });

  test('is followed by none that its keys do not open, unless that is meant', async () => {
    await back('followed', 'ours.key');
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
    for (const key of ['other.key', undefined]) {
      const told = await cli.fails(REFUSED, 'repository.other-keys', [
        ...create,
        ...withKey('followed', key),
      ]);
      assert.match(told, /what to do: .*--new-keys/);
    }
    const meant = await cli.run([...create, ...withKey('followed', 'other.key'), '--new-keys']);
    assert.equal(meant.status, 0, meant.stderr);
  });

  test('is verified as stored without a key that opens it, by its public signing key', async () => {
    const shown = await cli.run(['keys', 'show', '--public', '--key-file', folder.join('ours.key')]);
    await writeFile(folder.join('signer.pem'), shown.stdout);
    const verify = ['backup', 'verify', ...withKey('sealed', 'signer.pem')];
    assert.equal((await cli.json(verifiedAnswer, verify)).sound, true);
    await cli.fails(REFUSED, 'encryption.key-missing', [...verify, '--deep']);
  });

  test('is refused when it is plain although a key is configured', async () => {
    await back('plain');
    const list = await cli.run(['backup', 'list', ...withKey('plain', 'ours.key'), '--output', 'json']);
    const [listed] = listAnswer.parse(JSON.parse(list.stdout));
    assert.equal(listed?.state, 'damaged', 'nobody signed it');
    assert.equal(list.status, UNSOUND, 'nothing in the list can be used');
    await cli.fails(UNSOUND, 'signature.missing', restore('plain', 'ours.key'));
    assert.equal((await cli.run(restore('plain'))).status, 0);
  });

  test('opens with the recovery file alone, with its passphrase where it has one', async () => {
    await restoresWhole(backup, restore('sealed', 'ours.pem'));
    await makeKeys('guarded', '--recovery-passphrase-file', folder.join('passphrase'));
    const guarded = await back('guarded', 'guarded.key');
    await cli.fails(REFUSED, 'keys.passphrase', restore('guarded', 'guarded.pem'));
    const passphrase = ['--key-passphrase-file', folder.join('passphrase')];
    await restoresWhole(guarded, [...restore('guarded', 'guarded.pem'), ...passphrase]);
  });

  test('goes on after the key file was lost and recovered; each key reads what it should', async () => {
    const files = ['--out', folder.join('new.key'), '--recovery-out', folder.join('new.pem')];
    const recover = ['keys', 'recover', '--recovery-key', folder.join('ours.pem'), ...files];
    assert.equal((await cli.run(recover)).status, 0);
    await putOne(etcd, 'after', 'the loss');
    const next = await back('sealed', 'new.key');
    assert.equal(next.timeline, backup.timeline, 'the same history goes on');
    for (const made of [backup, next]) {
      await restoresWhole(made, restore('sealed', 'new.key'));
      await restoresWhole(made, restore('sealed', 'new.pem'));
    }
    const lost = ['backup', 'verify', next.id, '--deep', ...withKey('sealed', 'ours.key')];
    await cli.fails(REFUSED, 'signature.untrusted', lost);
  });

  test('opens after the key was rotated, and so does the next one', async () => {
    await makeKeys('rotating');
    const before = await back('rotated', 'rotating.key');
    const rotate = [
      'keys',
      'rotate',
      '--key-file',
      folder.join('rotating.key'),
      '--out',
      folder.join('rotated.key'),
    ];
    assert.equal((await cli.run(rotate)).status, 0);
    const after = await back('rotated', 'rotated.key');
    for (const made of [before, after]) await restoresWhole(made, restore('rotated', 'rotated.key'));
    await cli.fails(REFUSED, 'encryption.key-missing', [
      ...restore('rotated', 'rotating.key'),
      '--backup',
      after.id,
    ]);
  });

  test('is not made with a key file that others may read', async () => {
    await makeKeys('open');
    await chmod(folder.join('open.key'), 0o644);
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
    const told = await cli.fails(REFUSED, 'keys.permissions', [...create, ...withKey('sealed', 'open.key')]);
    assert.match(told, /what to do: Run `chmod 600/);
  });

  test('is not made with a recovery file, which only opens', async () => {
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
    const told = await cli.fails(REFUSED, 'encryption.read-only', [
      ...create,
      ...withKey('sealed', 'ours.pem'),
    ]);
    assert.match(told, /what to do: .*keys recover/);
  });
});
