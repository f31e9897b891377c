import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { capturedTimelines } from '../../test/harness/captured-timelines.ts';
import { newBackupId } from '../../lib/repository/backup-id.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Applied, applyPolicy } from './apply-policy.ts';

test('what was removed is told, now and by whoever looks later; increments with a later base under them are there', async () => {
  await using made = await capturedTimelines();
  const { repository } = made;
  const [first, second, third, fourth] = made.bases.map(({ timeline, id }) => ({ timeline, chain: id }));
  assert.ok(first && second && third && fourth);
  const newest: EtcdBackup = {
    ...{
      apiVersion: 'etcdguardian.io/v1alpha1',
      kind: 'EtcdBackup',
      metadata: { name: 'a', namespace: 'team' },
    },
    spec: { retentionPolicy: { maxBackups: 3 } },
    status: { restorePoint: { cluster: 'prod', ...fourth, revision: 121 } },
  } as EtcdBackup;
  const told = async ({ isRemoved }: Applied): Promise<boolean[]> => {
    const cases = [
      ['Full', { ...first, revision: 21 }],
      ['Incremental', { ...first, revision: 31 }],
      // The second base stands at 41, in the first one's chain.
      ['Incremental', { ...first, revision: 41 }],
      ['Incremental', { ...first, revision: 55 }],
      ['Full', { ...second, revision: 41 }],
      ['Incremental', { ...third, revision: 101 }],
      ['Incremental', { ...fourth, revision: 121 }],
      // Nobody trusted says that it was removed.
      ['Full', { ...first, chain: newBackupId(new Date(), randomBytes), revision: 31 }],
    ] as const;
    const answers: boolean[] = [];
    for (const [effectiveMode, restorePoint] of cases)
      answers.push(await isRemoved({ effectiveMode, restorePoint: { cluster: 'prod', ...restorePoint } }));
    return answers;
  };
  const expected = [true, true, false, false, false, false, false, false];
  const signal = new AbortController().signal;
  const now = await applyPolicy(repository, newest, signal);
  assert.deepEqual([...now.removed], [first.chain]);
  assert.deepEqual(await told(now), expected);
  const later = await applyPolicy(repository, newest, signal);
  assert.equal(later.removed.size, 0);
  assert.deepEqual(await told(later), expected);
});
