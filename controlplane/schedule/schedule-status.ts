import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { BackupRun, Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { setCondition } from '../../lib/kubernetes/set-condition.ts';
import { requesterStale } from './requester-age.ts';
import { slotOf } from './run-object.ts';
import type { ScheduleSource } from './schedule-source.ts';

export interface ScheduleNews {
  /** All that are there. */
  readonly runs: readonly EtcdBackup[];
  /** Begun just now. */
  readonly begunAt: Date | undefined;
  readonly next: Date | undefined;
  /** Condition `Scheduled`. */
  readonly scheduled: Pick<Condition, 'status' | 'reason' | 'message'>;
}

const KEPT_RUNS = 10;

/** What the status of a schedule becomes; fields that its kind doesn't have are left to `statusFor`. */
export function scheduleStatus(
  source: ScheduleSource,
  news: ScheduleNews,
  now: Date,
): ScheduleSource['status'] {
  const { status, metadata } = source;
  const { runs, begunAt, next, scheduled } = news;
  const { generation } = metadata;
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const completed = newest(runs.filter((run) => run.status?.phase === 'Completed'));
  const completionTime = completed?.status?.completionTime;
  const active = activeRuns(runs).map((run) => run.metadata.name);
  const history = historyOf(runs, status.backupHistory ?? []);
  const stale = requesterStale(source, now);
  const others = (status.conditions ?? []).filter(({ type }) => type !== stale?.type);
  const told: Omit<Condition, 'lastTransitionTime'>[] = [
    { type: 'Scheduled', ...scheduled, ...observed },
    ...(source.suspend && others.some(({ type }) => type === NO_CAPTURE.type)
      ? [{ ...NO_CAPTURE, ...observed }]
      : []),
    ...(source.forecastWanted ? [{ ...NO_FORECAST, ...observed }] : []),
  ];
  const conditions = told.reduce((all, one) => setCondition(all, one, now), others);
  return {
    ...status,
    ...observed,
    message: messageOf(news, completed, active),
    ...(begunAt === undefined ? {} : { lastBackupTime: begunAt.toISOString() }),
    nextBackupTime: next?.toISOString(),
    ...(completed === undefined ? {} : { lastSuccessfulBackup: completed.metadata.name }),
    ...(completionTime === undefined ? {} : { lastSuccessfulTime: completionTime }),
    active,
    ...(source.forecastWanted ? { forecast: { fallback: NO_FORECAST.message } } : {}),
    backupHistory: history,
    conditions: stale === undefined ? conditions : [...conditions, stale],
  } as ScheduleSource['status'];
}

const NO_CAPTURE = {
  type: 'Capturing',
  status: 'False',
  reason: 'Suspended',
  message: 'suspended: changes are not captured',
} as const;

const NO_FORECAST = {
  type: 'Forecasting',
  status: 'False',
  reason: 'NotYetSupported',
  message: 'this version makes no forecasts: the schedule holds as it is written',
} as const;

/** The fields that the schema of each kind has. */
export function statusFor(source: ScheduleSource, status: ScheduleSource['status']): object {
  const { active, capture, forecast, lastSuccessfulTime, ...common } = status;
  if (source.kind === 'EtcdBackupSchedule')
    return { ...common, active, capture, forecast, lastSuccessfulTime };
  const last = common.backupHistory?.find(({ phase }) => phase === 'Completed' || phase === 'Failed');
  return { ...common, phase: (active ?? []).length > 0 ? 'Running' : (last?.phase ?? 'Pending') };
}

export function activeRuns(runs: readonly EtcdBackup[]): EtcdBackup[] {
  return runs.filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.phase !== 'Completed' && status?.phase !== 'Failed',
  );
}

/** By slot. */
export function newestFirst(runs: readonly EtcdBackup[]): EtcdBackup[] {
  const time = (run: EtcdBackup): number => slotOf(run)?.getTime() ?? 0;
  return [...runs].sort((a, b) => time(b) - time(a));
}

function newest(runs: readonly EtcdBackup[]): EtcdBackup | undefined {
  return newestFirst(runs)[0];
}

/** What ran stays in the history when its resource has gone. */
function historyOf(runs: readonly EtcdBackup[], known: readonly BackupRun[]): BackupRun[] {
  const present = newestFirst(runs).map(runOf);
  const names = new Set(present.map(({ name }) => name));
  const gone = known.filter(
    ({ name, phase }) => !names.has(name) && (phase === 'Completed' || phase === 'Failed'),
  );
  const time = ({ startTime }: BackupRun): string => startTime ?? '9';
  return [...present, ...gone].sort((a, b) => (time(a) < time(b) ? 1 : -1)).slice(0, KEPT_RUNS);
}

function runOf({ metadata, status = {} }: EtcdBackup): BackupRun {
  const {
    phase = 'Pending',
    startTime,
    completionTime,
    etcdRevision,
    snapshotSize,
    snapshotLocation,
  } = status;
  const message = phase === 'Failed' ? status.message?.slice(0, LONGEST_MESSAGE) : undefined;
  const all = { phase, startTime, completionTime, etcdRevision, snapshotSize, snapshotLocation, message };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return { name: metadata.name, ...Object.fromEntries(given) };
}

const LONGEST_MESSAGE = 1_000;

function messageOf(
  { scheduled, next }: ScheduleNews,
  completed: EtcdBackup | undefined,
  active: readonly string[],
): string {
  if (scheduled.status !== 'True') return scheduled.message;
  const last =
    completed === undefined ? 'no run has completed yet' : `the last good run is ${completed.metadata.name}`;
  const running = active.length === 0 ? '' : `${active.join(', ')} is going on; `;
  return `${running}${last}; the next one begins ${next === undefined ? 'never' : `at ${next.toISOString()}`}`.slice(
    0,
    4_000,
  );
}
