import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR_MS, repositorySettings, repositoryWithBackup } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { BackupEntry, RetentionPolicy, SoundBackup } from './repository.ts';
import { planRetention } from './retention.ts';

const now = new Date('2026-11-22T12:00:00Z');
const sample = await sampleBackup();

test('good ones beyond the count, and old ones, go; the newest good one always stays', () => {
  const [a, b, c, d] = [hoursOld(1), hoursOld(10), hoursOld(20), hoursOld(30)];
  const cases: [string, RetentionPolicy, readonly BackupEntry[], readonly BackupEntry[]][] = [
    ['no policy', {}, [a, b, c, d], []],
    ['by count', { maxBackups: 2 }, [a, b, c, d], [c, d]],
    ['by age', { maxAgeMs: 15 * HOUR_MS }, [a, b, c, d], [c, d]],
    ['by both', { maxBackups: 3, maxAgeMs: 5 * HOUR_MS }, [a, b, c, d], [b, c, d]],
    ['all too old', { maxAgeMs: HOUR_MS / 2 }, [a, b], [b]],
    ['none wanted', { maxBackups: 0 }, [a, b], [b]],
    ['the newest ones damaged', { maxBackups: 1, maxAgeMs: HOUR_MS }, [damaged(a), damaged(b), c, d], [d]],
    ['the newest one differs from its member', { maxBackups: 1 }, [mismatched(a), b, c], [c]],
    ['older ones that differ go too', { maxBackups: 1 }, [a, mismatched(b), c], [mismatched(b), c]],
    ['damaged ones stay for a person to see', { maxBackups: 1 }, [a, damaged(b), c], [c]],
    ['removed ones are not counted', { maxBackups: 1 }, [removed(a), b, c], [c]],
    ['retained ones stay', { maxBackups: 1 }, [a, retained(b), c], [c]],
    ['past their retention they go', { maxBackups: 1 }, [a, retained(b, -1)], [retained(b, -1)]],
    [
      'only those of one schedule',
      { maxBackups: 1, labels: { schedule: 'x' } },
      [a, labelled(b), c, labelled(d)],
      [labelled(d)],
    ],
    ['nothing there', { maxBackups: 1 }, [], []],
  ];
  for (const [name, policy, backups, gone] of cases) {
    const plan = planRetention({ backups, timelines: [] }, policy, now);
    assert.deepEqual(
      plan.remove.map(({ backup }) => backup),
      gone,
      name,
    );
    const listed = backups.filter(({ removal }) => removal === undefined);
    const meant =
      policy.labels === undefined
        ? listed
        : listed.filter((backup) => JSON.stringify(backup, plain).includes('schedule'));
    assert.equal(plan.keep.length + plan.remove.length, meant.length, name);
    for (const { reason } of [...plan.keep, ...plan.remove]) assert.ok(reason.length > 0);
  }
});

test('the plan says why', () => {
  const backups = [hoursOld(1), retained(hoursOld(2)), hoursOld(30)];
  const plan = planRetention({ backups, timelines: [] }, { maxAgeMs: 24 * HOUR_MS }, now);
  assert.deepEqual(
    plan.keep.map(({ reason }) => reason),
    ['the newest good one', 'retained until 2026-11-22T22:00:00.000Z'],
  );
  assert.deepEqual(
    plan.remove.map(({ reason }) => reason),
    ['older than 24 h'],
  );
});

function hoursOld(hours: number): SoundBackup {
  const completedAt = new Date(now.getTime() - hours * HOUR_MS);
  return { ...sample, id: `${hours} hours old`, manifest: { ...sample.manifest, completedAt } };
}

function mismatched(backup: SoundBackup): SoundBackup {
  const { hashKV } = backup.manifest.snapshot;
  const proof = {
    kind: 'mismatch',
    ...hashKV,
    memberId: 1n,
    endpoint: 'e',
    provenAt: now,
    fileHash: 1,
  } as const;
  return { ...backup, manifest: { ...backup.manifest, proof } };
}

function retained(backup: SoundBackup, hours = 10): SoundBackup {
  const retainUntil = new Date(now.getTime() + hours * HOUR_MS);
  return { ...backup, manifest: { ...backup.manifest, retainUntil } };
}

function labelled(backup: SoundBackup): SoundBackup {
  return { ...backup, manifest: { ...backup.manifest, labels: { schedule: 'x' } } };
}

function damaged({ cluster, timeline, id }: SoundBackup): BackupEntry {
  const problem = new GuardianError('repository.damaged', 'broken');
  return { state: 'damaged', cluster, timeline, id, problem, removal: undefined, lastMark: 0, warnings: [] };
}

function removed(backup: SoundBackup): BackupEntry {
  return {
    ...backup,
    removal: { removedAt: now, by: 'a', reason: undefined, deleteAfter: now, swept: false, mark: 1 },
  };
}

async function sampleBackup(): Promise<SoundBackup> {
  await using folder = await temporaryFolder();
  return (await repositoryWithBackup(repositorySettings(new LocalStore(folder.path)))).backup;
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
