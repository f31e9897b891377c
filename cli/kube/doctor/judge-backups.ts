import type { EtcdBackup } from '../../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSchedule } from '../../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { age, counted, duration } from '../../output.ts';
import type { Installation } from '../installation.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

export interface BackupLimits {
  /** How old the newest good backup of the whole cluster may be. */
  readonly maxAgeMs: number;
}

/** Whether the cluster could be had back, and whether it will be so tomorrow. */
export function judgeBackups(
  { backups, schedules }: Installation,
  { maxAgeMs }: BackupLimits,
  now: Date,
): Finding[] {
  const findings: Finding[] = [];
  if ('found' in backups) {
    findings.push(judgeLastGood(backups.found, maxAgeMs, now), judgeFailures(backups.found));
    findings.push(...judgeStuck(backups.found, now));
  } else findings.push(unknown('last good backup', backups.problem));
  if ('found' in schedules) findings.push(...judgeSchedules(schedules.found, backups, now));
  else findings.push(unknown('schedules', schedules.problem));
  return findings;
}

/** The newest completed backup of the whole cluster that was not found unsound. */
export function lastGood(backups: readonly EtcdBackup[]): EtcdBackup | undefined {
  return backups
    .filter(({ spec, status }) => {
      const { verdict, proof } = status?.validationResult ?? {};
      const sound = verdict !== 'Unsound' && proof !== 'Mismatch';
      return status?.phase === 'Completed' && sound && isWholeCluster(spec.namespaceSelector);
    })
    .toSorted((a, b) => completedAt(b) - completedAt(a))[0];
}

function judgeLastGood(backups: readonly EtcdBackup[], maxAgeMs: number, now: Date): Finding {
  const check = 'last good backup';
  const newest = lastGood(backups);
  if (newest === undefined)
    return fail(
      check,
      'there is none of the whole cluster: it could not be had back',
      'Create an EtcdBackup, and an EtcdBackupSchedule: kubectl etcdguardian backup create --help.',
    );
  const { metadata, status } = newest;
  const old = now.getTime() - completedAt(newest);
  const what = `${metadata.namespace ?? ''}/${metadata.name}, ${age(new Date(completedAt(newest)), now)} old`;
  if (old > maxAgeMs)
    return fail(
      check,
      `${what}: older than ${duration(maxAgeMs)} (--max-age)`,
      'Is there an EtcdBackupSchedule that is not suspended? Look at its last runs: kubectl get etcdbackups -A.',
    );
  const proof = status?.validationResult?.proof;
  if (proof !== 'LiveHash' && proof !== 'CompactionHash')
    return warn(
      check,
      `${what}; it is not proven to equal etcd: ${status?.validationResult?.proofMessage ?? 'nobody was asked'}`,
      'Set validation.consistencyCheck in its spec, so that a live member is asked.',
    );
  return ok(check, `${what}, proven by etcd itself`);
}

function judgeFailures(backups: readonly EtcdBackup[]): Finding {
  const check = 'latest run';
  const [latest] = backups
    .filter(({ status, spec }) => /Completed|Failed/.test(status?.phase ?? '') && spec.schedule === undefined)
    .toSorted((a, b) => completedAt(b) - completedAt(a));
  if (latest === undefined) return ok(check, 'no backup has ended yet');
  const { metadata, status } = latest;
  const name = `${metadata.namespace ?? ''}/${metadata.name}`;
  if (status?.phase !== 'Failed') return ok(check, `${name} completed`);
  return warn(
    check,
    `${name} failed [${status.reason ?? 'no reason'}]: ${status.message ?? ''}`,
    `kubectl describe etcdbackup -n ${metadata.namespace ?? ''} ${metadata.name} tells all of it.`,
  );
}

function judgeStuck(backups: readonly EtcdBackup[], now: Date): Finding[] {
  const waiting = backups.filter(
    ({ metadata, status }) =>
      status?.phase === undefined && now.getTime() - Date.parse(metadata.creationTimestamp ?? '') > SEEN_MS,
  );
  if (waiting.length === 0) return [];
  const [first] = waiting;
  return [
    fail(
      'waiting backups',
      `${counted(waiting.length, 'EtcdBackup')} not looked at for over ${duration(SEEN_MS)}, e.g. ${first?.metadata.namespace ?? ''}/${first?.metadata.name ?? ''}`,
      'A leading control plane sees each within a second: does a replica lead?',
    ),
  ];
}

const SEEN_MS = 120_000;

function judgeSchedules(
  schedules: readonly EtcdBackupSchedule[],
  backups: Installation['backups'],
  now: Date,
): Finding[] {
  const recurring = 'found' in backups ? backups.found.filter(({ spec }) => spec.schedule !== undefined) : [];
  if (schedules.length === 0 && recurring.length === 0)
    return [
      warn(
        'schedules',
        'there is none: backups are made only when someone makes them',
        'Apply an EtcdBackupSchedule; ConfigMap etcdguardian-first-schedule holds one.',
      ),
    ];
  const findings = schedules.flatMap((schedule) => judgeSchedule(schedule, now));
  const good = schedules.length + recurring.length - new Set(findings.map(({ check }) => check)).size;
  return good > 0 ? [...findings, ok('schedules', `${counted(good, 'schedule')} as it should be`)] : findings;
}

function judgeSchedule({ metadata, spec, status }: EtcdBackupSchedule, now: Date): Finding[] {
  const check = `schedule ${metadata.namespace ?? ''}/${metadata.name}`;
  if (spec.suspend) return [warn(check, 'is suspended', 'Set spec.suspend to false when its time has come.')];
  const findings: Finding[] = [];
  const due = Date.parse(status?.nextBackupTime ?? '');
  if (now.getTime() - due > LATE_MS)
    findings.push(
      fail(
        check,
        `its run of ${status?.nextBackupTime ?? ''} did not begin`,
        'Does a replica of the control plane lead?',
      ),
    );
  const stale = status?.conditions?.find(
    ({ type, status: is }) => type === 'RequesterStale' && is === 'True',
  );
  if (stale !== undefined)
    findings.push(warn(check, stale.message, 'Have someone who may look at the spec and apply it again.'));
  const [last] = status?.backupHistory ?? [];
  if (last?.phase === 'Failed')
    findings.push(
      warn(
        check,
        `its last run ${last.name} failed: ${last.message ?? ''}`,
        'Its next run tries again; correct the cause before.',
      ),
    );
  const behind = now.getTime() - Date.parse(status?.capture?.time ?? '');
  if (behind > LATE_MS)
    findings.push(
      warn(
        check,
        `changes are stored only up to ${status?.capture?.time ?? ''}`,
        'See the log of the agent that captures.',
      ),
    );
  return findings;
}

const LATE_MS = 300_000;

function completedAt({ status, metadata }: EtcdBackup): number {
  return Date.parse(status?.completionTime ?? metadata.creationTimestamp ?? '') || 0;
}

export function isWholeCluster(selector: EtcdBackup['spec']['namespaceSelector']): boolean {
  const labels = Object.keys(selector?.matchLabels ?? {});
  return labels.length === 0 && (selector?.matchExpressions ?? []).length === 0;
}
