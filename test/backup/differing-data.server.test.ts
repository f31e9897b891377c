import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BackupEvent, fullBackup } from '../../lib/backup/full-backup.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { repositorySettings } from '../harness/repository.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

test(
  'an only member that answers otherwise than it streamed is told to contradict itself, and isn’t tried again',
  needs('etcd 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await putOne(etcd, 'a', 'as it was streamed');
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const repository = await openRepository(repositorySettings(new LocalStore(folder.join('store'))));
    const failures: Extract<BackupEvent, { kind: 'attempt-failed' }>[] = [];
    const backup = fullBackup(
      { cluster: 'prod', proof: { mode: 'auto' }, streamLimitMs: 60_000, attempts: 3 },
      {
        ...{ client, repository, clock: () => new Date() },
        onEvent: (event) => {
          // As a disk or a memory that goes bad: etcd maps its file, so it sees this.
          if (event.kind === 'streamed') changeFile(etcd, 'as it was streamed', 'as it was STREAMED');
          if (event.kind === 'attempt-failed') failures.push(event);
        },
      },
    );
    await assert.rejects(backup, (error) => {
      assert.ok(hasCode(error, 'backup.hash-mismatch'), String(error));
      const { endpoint } = etcd;
      const told = `^the snapshot of default \\(${endpoint}\\) has HashKV \\d+ at revision 2, but default \\(${endpoint}\\) answers \\d+: it contradicts itself$`;
      assert.match(error.message, new RegExp(told));
      assert.match(error.hint ?? '', /^there is no other member to compare with: check/);
      return true;
    });
    assert.deepEqual(
      failures.map(({ again }) => again),
      [false],
    );
    assert.deepEqual(await repository.listBackups('prod'), []);
  },
);

test('an only member’s proof says that it is its own', needs('etcd 3.6.16'), async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  const repository = await openRepository(repositorySettings(new LocalStore(folder.join('store'))));
  const { backup } = await fullBackup(
    { cluster: 'prod', proof: { mode: 'required' }, streamLimitMs: 60_000, attempts: 1 },
    { client, repository, clock: () => new Date(), onEvent: () => undefined },
  );
  const { proof, etcd: source } = backup.manifest;
  assert.ok(proof.kind === 'live-hashkv', proof.kind);
  assert.equal(proof.memberId, source.memberId);
  assert.equal(source.memberName, 'default');
});

/** Writes nothing else: etcd goes on with the file. */
function changeFile(etcd: Etcd, from: string, to: string): void {
  const path = join(etcd.dataDir, 'member', 'snap', 'db');
  const bytes = readFileSync(path);
  const file = openSync(path, 'r+');
  for (let at = -1; (at = bytes.indexOf(from, at + 1)) >= 0;) writeSync(file, to, at);
  closeSync(file);
}
