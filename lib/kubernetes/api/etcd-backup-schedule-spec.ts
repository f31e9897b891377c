// Written by `make generate` from manifests/crds. Don’t edit.

import type { BackupHooks } from './etcd-backup-spec.ts';
import type { BackupValidation } from './etcd-backup-spec.ts';
import type { Encryption } from './etcd-backup-spec.ts';
import type { EtcdCertificates } from './etcd-backup-spec.ts';
import type { LabelSelector } from './etcd-backup-spec.ts';
import type { Requester } from './etcd-backup-spec.ts';
import type { RetentionPolicy } from './etcd-backup-spec.ts';
import type { StorageLocation } from './etcd-backup-spec.ts';
import type { VeleroIntegration } from './etcd-backup-spec.ts';

/** What to back up, and when. */
export interface EtcdBackupScheduleSpec {
  /** When to back up, as five cron fields ("0 * * * *") or a word like "@daily". */
  readonly schedule: string;
  /** The time zone of the schedule, like Europe/Berlin; UTC unless given. */
  readonly timeZone?: string;
  /** While true, no run begins, and changes are not captured. Runs that have begun go on. */
  readonly suspend: boolean;
  /**
   * How late a run may begin that could not begin in time. Later it counts as missed. Left out, a missed
   * run is made up for once.
   */
  readonly startingDeadlineSeconds?: number;
  /**
   * What happens when a run is due while another one is still going on. Forbid: it is left out. Allow: both
   * run. Replace: the older one is ended.
   */
  readonly concurrencyPolicy: 'Allow' | 'Forbid' | 'Replace';
  /** The backup that each run makes. */
  readonly backupTemplate: BackupTemplate;
  /**
   * Moves runs to better times, by a forecast from the history of sizes and writes. Where no forecast is
   * possible the schedule holds, and the status says so.
   */
  readonly aiOptimization: AiOptimization;
  /**
   * Who asked for this. Written by the admission webhook, whatever was sent; the rights of this user
   * decide.
   */
  readonly requestedBy?: Requester;
}

/**
 * Moves runs to better times, by a forecast from the history of sizes and writes. Where no forecast is
 * possible the schedule holds, and the status says so.
 */
export interface AiOptimization {
  /** Whether to move runs. */
  readonly enabled: boolean;
  /** The least time between two runs, in hours, minutes and seconds ("1h"). */
  readonly minInterval?: string;
  /** The most time between two runs, which is what a disaster may cost ("6h"). */
  readonly maxInterval?: string;
}

/** The backup that each run makes. */
export interface BackupTemplate {
  /** Labels and annotations of each run. */
  readonly metadata?: TemplateMetadata;
  /** What to back up, to where, and who keeps it for how long. */
  readonly spec: BackupTemplateSpec;
}

/** What to back up, to where, and who keeps it for how long. */
export interface BackupTemplateSpec {
  /**
   * Full: a complete snapshot of etcd. Incremental: the changes since the last backup of the same cluster
   * in the same place; where there is none to continue, a full one, and the status says so.
   */
  readonly backupMode: 'Full' | 'Incremental';
  /**
   * Client addresses of etcd, https://HOST:PORT each. Empty: the agents beside etcd are asked. Naming
   * addresses needs the right to back up the whole cluster.
   */
  readonly etcdEndpoints?: readonly string[];
  /**
   * Secrets of this namespace with the certificates for etcd, for addresses given in etcdEndpoints. Needs
   * the right to back up the whole cluster.
   */
  readonly etcdCertificates?: EtcdCertificates;
  /** The object store that keeps the backup. */
  readonly storageLocation: StorageLocation;
  /** Encryption before anything leaves the machine: AES-256-GCM, with a data key of its own for each object. */
  readonly encryption: Encryption;
  /**
   * How long backups are kept. The last good restore point, and what it needs, is never removed. Nothing
   * given: forever.
   */
  readonly retentionPolicy?: RetentionPolicy;
  /** What is proven about the backup before it counts as completed. */
  readonly validation: BackupValidation;
  /** A backup by Velero, of volumes for example, made after this one and recorded with it. */
  readonly veleroIntegration: VeleroIntegration;
  /**
   * Only the namespaces with these labels, as they are when the backup runs, and of these only kinds that
   * the requester may list. Left out, or empty: the whole cluster, which needs the right to do so.
   */
  readonly namespaceSelector?: LabelSelector;
  /**
   * Commands on the control-plane nodes. They need a right of their own, and an installation that allows
   * them.
   */
  readonly hooks?: BackupHooks;
  /**
   * What happens to the stored data when this resource is deleted. Delete removes it after a day of grace;
   * never when a namespace or the installation goes away.
   */
  readonly deletionPolicy: 'Retain' | 'Delete';
}

/** Labels and annotations of each run. */
export interface TemplateMetadata {
  /** Labels of each run. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Annotations of each run. */
  readonly annotations?: Readonly<Record<string, string>>;
}
