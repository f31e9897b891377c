// Written by `make generate` from manifests/crds. Don’t edit.

import type { BackupRun } from './etcd-backup-status.ts';
import type { Condition } from './etcd-backup-status.ts';
import type { LastDrill } from './etcd-backup-status.ts';

/**
 * What happened. Written by the control plane only; nothing in it is ever believed when rights are
 * decided.
 */
export interface EtcdBackupScheduleStatus {
  /** The generation of the spec that the status is about. */
  readonly observedGeneration?: number;
  /** How the schedule does, in one sentence; if it is in trouble, also what to do about it. */
  readonly message?: string;
  /** When it last began a run. RFC 3339. */
  readonly lastBackupTime?: string;
  /** When it begins the next run, a forecast included. RFC 3339. */
  readonly nextBackupTime?: string;
  /** The name of its newest completed run. */
  readonly lastSuccessfulBackup?: string;
  /** When that completed. RFC 3339. */
  readonly lastSuccessfulTime?: string;
  /** The names of the runs that are going on. */
  readonly active?: readonly string[];
  /** In mode Incremental, how the capture of changes does between two runs. */
  readonly capture?: CaptureStatus;
  /** What is expected of the next run, where aiOptimization is enabled. */
  readonly forecast?: BackupForecast;
  /** When a restore of one of its runs was last rehearsed to its end. RFC 3339. */
  readonly lastDrillTime?: string;
  /** How the last drill of its runs went, a rehearsed restore. */
  readonly drill?: LastDrill;
  /** With a schedule, its runs, the newest first. */
  readonly backupHistory?: readonly BackupRun[];
  /** For machines: Admitted, Scheduled, Capturing, Forecasting, and warnings like RequesterStale. */
  readonly conditions?: readonly Condition[];
}

/** What is expected of the next run, where aiOptimization is enabled. */
export interface BackupForecast {
  /** Bytes. */
  readonly snapshotSize?: number;
  /** How long it will take. */
  readonly durationSeconds?: number;
  /** Why the schedule holds instead of a forecast. */
  readonly fallback?: string;
}

/** In mode Incremental, how the capture of changes does between two runs. */
export interface CaptureStatus {
  /** The node whose agent captures; empty where the control plane does. */
  readonly node?: string;
  /** Up to which revision the changes are in the store. */
  readonly revision?: number;
  /** When that was. RFC 3339. */
  readonly time?: string;
  /** How often changes were lost, so that a new full backup was needed. */
  readonly gaps?: number;
}
