import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ControlPlaneMetrics } from '../metrics.ts';
import { metricName, parentOf } from './backup-labels.ts';
import { UNSOUND } from './backup-status.ts';

/** Fills `etcdguardian_backup_*`, `etcdguardian_last_backup_timestamp_seconds` and `etcdguardian_validation_failures_total`. */
export class BackupMetrics {
  readonly #metrics: ControlPlaneMetrics;
  /** By name in metrics: of which completed backup the size is. */
  readonly #newest = new Map<string, { readonly key: string; readonly completed: string }>();

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
    const known = this.#newest.get(name);
    if (known !== undefined && known.completed >= completionTime) return;
    this.#newest.set(name, { key, completed: completionTime });
    if (snapshotSize !== undefined) this.#metrics.backupSize.set({ backup_name: name }, snapshotSize);
    if (parentOf(backup) !== undefined)
      this.#metrics.lastBackup.set({ backup_name: name }, Date.parse(completionTime) / 1000);
  }

  gone(key: string): void {
    for (const [name, newest] of this.#newest) {
      if (newest.key !== key) continue;
      this.#newest.delete(name);
      this.#metrics.backupSize.remove({ backup_name: name });
      this.#metrics.lastBackup.remove({ backup_name: name });
    }
  }
}
