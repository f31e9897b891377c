import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ControlPlaneMetrics } from '../metrics.ts';
import { metricName, parentOf } from './backup-labels.ts';
import { UNSOUND } from './backup-status.ts';

interface Completed {
  readonly completionTime: string;
  readonly snapshotSize: number | undefined;
  /** Of a schedule: one on its own has no rhythm that it could miss. */
  readonly isRun: boolean;
}

/** Fills `etcdguardian_backup_*`, `etcdguardian_last_backup_timestamp_seconds` and `etcdguardian_validation_failures_total`. */
export class BackupMetrics {
  readonly #metrics: ControlPlaneMetrics;
  /** By name in metrics, and by key. */
  readonly #completed = new Map<string, Map<string, Completed>>();

  constructor(metrics: ControlPlaneMetrics) {
    this.#metrics = metrics;
  }

  /** It has ended just now. */
  ended({ spec }: EtcdBackup, { phase, reason, startTime, completionTime }: EtcdBackupStatus): void {
    const status = phase ?? '';
    this.#metrics.backupTotal.inc({ status });
    if (startTime !== undefined && completionTime !== undefined)
      this.#metrics.backupDuration.observe(
        { backup_mode: spec.backupMode, status },
        Math.max(0, Date.parse(completionTime) - Date.parse(startTime)) / 1000,
      );
    if (reason !== undefined && UNSOUND.has(reason)) this.#metrics.validationFailures.inc({ reason });
  }

  /** It is there, e.g. after a restart: the newest completed one of a name tells its size and age. */
  seen(key: string, backup: EtcdBackup): void {
    const { phase, completionTime, snapshotSize } = backup.status ?? {};
    if (phase !== 'Completed' || completionTime === undefined) return;
    const name = metricName(backup);
    const all = this.#completed.get(name) ?? new Map<string, Completed>();
    this.#completed.set(name, all);
    all.set(key, { completionTime, snapshotSize, isRun: parentOf(backup) !== undefined });
    this.#tell(name, all);
  }

  gone(key: string): void {
    for (const [name, all] of this.#completed) {
      if (!all.delete(key)) continue;
      if (all.size === 0) this.#completed.delete(name);
      this.#tell(name, all);
    }
  }

  #tell(name: string, all: ReadonlyMap<string, Completed>): void {
    const { backupSize, lastBackup } = this.#metrics;
    const labels = { backup_name: name };
    const newest = [...all.values()].reduce<Completed | undefined>(
      (best, one) => (best !== undefined && best.completionTime >= one.completionTime ? best : one),
      undefined,
    );
    if (newest === undefined) backupSize.remove(labels);
    else if (newest.snapshotSize !== undefined) backupSize.set(labels, newest.snapshotSize);
    if (newest?.isRun === true) lastBackup.set(labels, Date.parse(newest.completionTime) / 1000);
    else lastBackup.remove(labels);
  }
}
