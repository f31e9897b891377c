import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { VERSION } from '../lib/program-version.ts';

/** Every metric of the control plane, declared here and nowhere else. */
export interface ControlPlaneMetrics {
  /** For gauges that are read when they are scraped. */
  readonly registry: Registry;

  /** Seconds; `backup_mode` Full or Incremental, `status` Completed or Failed. */
  readonly backupDuration: Histogram<'backup_mode' | 'status'>;
  /** Of a backup's snapshot; taken out when the EtcdBackup goes. */
  readonly backupSize: Gauge<'backup_name'>;
  /** When the newest run of a schedule completed, in seconds since 1970; taken out when its EtcdBackup goes. */
  readonly lastBackup: Gauge<'backup_name'>;
  /** `status` Completed or Failed. */
  readonly backupTotal: Counter<'status'>;
  readonly etcdDbSize: Gauge<'endpoint'>;
  readonly etcdRevision: Gauge<'endpoint'>;
  /** `reason`: the code of what was wrong. */
  readonly validationFailures: Counter<'reason'>;
  /** Seconds; `restore_mode` Full, Incremental or PointInTime. */
  readonly restoreDuration: Histogram<'restore_mode'>;
  /** Of the whole cluster. `status` Completed or Failed. */
  readonly restoreTotal: Counter<'status'>;
  /** Restores of the whole cluster that this process carries out, whoever leads: they take the Lease away. */
  readonly restoresRunning: Gauge;

  /** `result` Passed, Failed or Unknown. */
  readonly drillTotal: Counter<'result'>;
  /** Seconds until the last drill's restored etcd served; `series`: the schedule, or the backup alone. */
  readonly drillRecoverySeconds: Gauge<'namespace' | 'series'>;
  /** When a drill was last held to its end, in seconds since 1970. */
  readonly lastDrill: Gauge<'namespace' | 'series'>;
  /** Of series that are drilled by themselves: since when none was held, in seconds since 1970. */
  readonly noDrillSince: Gauge<'namespace' | 'series'>;

  /** 1 while this replica leads. */
  readonly leader: Gauge;
  /** `result`: done, failed or ended (with leadership). */
  readonly reconciles: Counter<'controller' | 'result'>;
  readonly reconcileSeconds: Histogram<'controller'>;
  readonly queueWaitSeconds: Histogram<'controller'>;
  /** `state`: waiting, delayed, running or failing. */
  readonly queueKeys: Gauge<'controller' | 'state'>;
  /** Of the reconcile that runs longest. */
  readonly longestReconcileSeconds: Gauge<'controller'>;
  /** `result`: issued, denied or failed. */
  readonly enrolments: Counter<'result'>;
  /** When certificates end, in seconds since 1970; `of`: authority, control-plane, webhook, agent/NODE. */
  readonly certificateEnds: Gauge<'of'>;
  /** 1: it answers. */
  readonly agentUp: Gauge<'node'>;
  /** Of the node's clock, against ours. */
  readonly agentClockSkewSeconds: Gauge<'node'>;

  /** Who leads no more knows nothing of what only a leader sees, also when it leads again. */
  forgetLed(): void;
  /** In Prometheus' text format. */
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** From small clusters (seconds) to 10 GB over a slow line (hours). */
const WORK_SECONDS = [1, 5, 15, 30, 60, 120, 300, 600, 1_200, 3_600, 7_200];
const STEP_SECONDS = [0.005, 0.02, 0.1, 0.5, 1, 5, 30, 120, 600];

export function controlPlaneMetrics(): ControlPlaneMetrics {
  const registry = new Registry();
  const about = <L extends string>(what: string, help: string, ...labelNames: L[]) => ({
    ...{ name: `etcdguardian_${what}`, help, labelNames, registers: [registry] },
  });
  new Gauge(about('build_info', 'The program that runs', 'version')).set({ version: VERSION }, 1);
  const all = {
    registry,
    backupDuration: new Histogram({
      ...about('backup_duration_seconds', 'How long backups took', 'backup_mode', 'status'),
      buckets: WORK_SECONDS,
    }),
    backupSize: new Gauge(about('backup_size_bytes', 'Size of the snapshot', 'backup_name')),
    lastBackup: new Gauge(
      about('last_backup_timestamp_seconds', 'When the newest run of a schedule completed', 'backup_name'),
    ),
    backupTotal: fromZero(new Counter(about('backup_total', 'Backups that ended', 'status')), ENDS),
    etcdDbSize: new Gauge(about('etcd_db_size_bytes', 'Size of the database file', 'endpoint')),
    etcdRevision: new Gauge(about('etcd_revision', 'Revision of the member', 'endpoint')),
    validationFailures: new Counter(
      about('validation_failures_total', 'Backups that were found wrong', 'reason'),
    ),
    restoreDuration: new Histogram({
      ...about('restore_duration_seconds', 'How long restores took', 'restore_mode'),
      buckets: WORK_SECONDS,
    }),
    restoreTotal: fromZero(
      new Counter(about('restore_total', 'Restores of the whole cluster that ended', 'status')),
      ENDS,
    ),
    restoresRunning: new Gauge(
      about('restores_running', 'Restores of the whole cluster that stop things, or soon do'),
    ),
    drillTotal: fromZero(
      new Counter(about('drill_total', 'Rehearsed restores that ended', 'result')),
      ['Passed', 'Failed', 'Unknown'].map((result) => ({ result })),
    ),
    drillRecoverySeconds: new Gauge(
      about('drill_recovery_seconds', 'Until the last rehearsed restore served', 'namespace', 'series'),
    ),
    lastDrill: new Gauge(
      about('last_drill_timestamp_seconds', 'When a restore was last rehearsed', 'namespace', 'series'),
    ),
    noDrillSince: new Gauge(
      about('no_drill_since_timestamp_seconds', 'Since when none was, that is due', 'namespace', 'series'),
    ),
    leader: new Gauge(about('leader', '1 while this replica leads')),
    reconciles: new Counter(about('reconcile_total', 'Steps of controllers', 'controller', 'result')),
    reconcileSeconds: new Histogram({
      ...about('reconcile_duration_seconds', 'How long one step took', 'controller'),
      buckets: STEP_SECONDS,
    }),
    queueWaitSeconds: new Histogram({
      ...about('queue_wait_seconds', 'Between due and taken', 'controller'),
      buckets: STEP_SECONDS,
    }),
    queueKeys: new Gauge(about('queue_keys', 'Objects in the queue', 'controller', 'state')),
    longestReconcileSeconds: new Gauge(
      about('longest_reconcile_seconds', 'Age of the step that runs longest', 'controller'),
    ),
    enrolments: new Counter(about('enrolments_total', 'Certificates that agents asked for', 'result')),
    certificateEnds: new Gauge(about('certificate_ends_timestamp_seconds', 'When certificates end', 'of')),
    agentUp: new Gauge(about('agent_up', '1: the agent of the node answers', 'node')),
    agentClockSkewSeconds: new Gauge(
      about('agent_clock_skew_seconds', 'Clock of the node against ours', 'node'),
    ),
  };
  const led = [
    ...[all.backupSize, all.lastBackup, all.etcdDbSize, all.etcdRevision, all.agentUp],
    ...[all.agentClockSkewSeconds, all.certificateEnds],
    ...[all.drillRecoverySeconds, all.lastDrill, all.noDrillSince],
  ];
  return {
    ...all,
    forgetLed() {
      for (const gauge of led) gauge.reset();
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

const ENDS = ['Completed', 'Failed'].map((status) => ({ status }));

/** The first of its kind is an increase, too, only where there was a zero before. */
function fromZero<L extends string>(
  counter: Counter<L>,
  all: readonly Readonly<Record<L, string>>[],
): Counter<L> {
  for (const labels of all) counter.inc(labels, 0);
  return counter;
}
