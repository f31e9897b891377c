import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import { BackupMetrics } from './backup-metrics.ts';

const ran = (name: string, completionTime: string, schedule?: string): EtcdBackup => ({
  ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
  metadata: {
    ...{ name, namespace: 'backups' },
    ownerReferences:
      schedule === undefined
        ? []
        : [
            {
              ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule' },
              ...{ name: schedule, uid: 'u', controller: true },
            },
          ],
  },
  spec: { backupMode: 'Full' } as unknown as EtcdBackup['spec'],
  status: { phase: 'Completed', completionTime },
});

test('the newest completed run of a schedule tells when that was, until it goes', async () => {
  const metrics = controlPlaneMetrics();
  const told = async (): Promise<string[]> =>
    (await metrics.read()).text.split('\n').filter((line) => line.startsWith('etcdguardian_last_backup'));
  const backups = new BackupMetrics(metrics);
  backups.seen('backups/a', ran('a', '2026-11-22T01:00:00Z', 'nightly'));
  backups.seen('backups/b', ran('b', '2026-11-22T03:00:00Z', 'nightly'));
  backups.seen('backups/a', ran('a', '2026-11-22T01:00:00Z', 'nightly'));
  const at = Date.parse('2026-11-22T03:00:00Z') / 1000;
  const newest = `etcdguardian_last_backup_timestamp_seconds{backup_name="backups/nightly"} ${at}`;
  assert.deepEqual(await told(), [newest]);
  // One on its own has no rhythm that it could miss.
  backups.seen('backups/once', ran('once', '2026-11-22T04:00:00Z'));
  backups.gone('backups/a');
  assert.deepEqual(await told(), [newest]);
  // One that is deleted leaves the word to the one before, or no alert would ever tell how old that is.
  backups.seen('backups/a', ran('a', '2026-11-22T01:00:00Z', 'nightly'));
  backups.gone('backups/b');
  const before = Date.parse('2026-11-22T01:00:00Z') / 1000;
  assert.deepEqual(await told(), [newest.replace(`${at}`, `${before}`)]);
  backups.gone('backups/a');
  assert.deepEqual(await told(), []);
});

test('who leads no more, and perhaps again later, tells nothing of what is gone meanwhile', async () => {
  const metrics = controlPlaneMetrics();
  new BackupMetrics(metrics).seen('backups/a', ran('a', '2026-11-22T01:00:00Z', 'nightly'));
  metrics.agentUp.set({ node: 'cp1' }, 0);
  metrics.certificateEnds.set({ of: 'agent/cp1' }, 1);
  metrics.backupTotal.inc({ status: 'Failed' });
  metrics.forgetLed();
  const { text } = await metrics.read();
  assert.doesNotMatch(text, /^etcdguardian_(?:last_backup|agent_up|certificate_ends)[a-z_]*\{/m);
  assert.match(text, /^etcdguardian_backup_total\{status="Failed"\} 1$/m);
});

test('what never happened is counted as zero, so that its first time is an increase', async () => {
  const { text } = await controlPlaneMetrics().read();
  for (const what of ['backup_total{status', 'restore_total{status', 'drill_total{result'])
    assert.ok(text.includes(`etcdguardian_${what}="Failed"} 0\n`), what);
});
