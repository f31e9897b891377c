import { Cron } from 'croner';
import { reasonOf } from '../../lib/guardian-error.ts';
import type { EtcdBackupScheduleSpec } from '../../lib/kubernetes/api/etcd-backup-schedule-spec.ts';
import { isLabelKey, isLabelValue } from '../../lib/kubernetes/rights/label-selector.ts';
import { durationSeconds } from '../duration.ts';
import { CONTENT, invalid, type Objection, type Policy, verdict } from '../policy.ts';
import { askedOf, isAsked } from '../subject.ts';
import { isOurs } from './reserved-names.ts';

/** When a schedule runs, and what its runs are called. */
export const schedule: Policy = {
  name: 'schedule',
  concerns: (admission) => isAsked(admission) && admission.kind !== 'EtcdRestore',
  judge(admission) {
    const asked = askedOf(admission);
    if (asked?.kind === 'EtcdBackup') {
      const text = asked.spec.schedule;
      return text === undefined || text === '' ? CONTENT : verdict(timeProblems(text, undefined));
    }
    return asked?.kind === 'EtcdBackupSchedule' ? verdict(problems(asked.spec)) : CONTENT;
  },
};

function* problems(spec: EtcdBackupScheduleSpec): Generator<Objection> {
  yield* timeProblems(spec.schedule, spec.timeZone);
  const { minInterval, maxInterval } = spec.aiOptimization;
  const [min = 0, max = Infinity] = [minInterval, maxInterval].map((text) =>
    text === undefined ? undefined : (durationSeconds(text) ?? Number.NaN),
  );
  if (!(min <= max)) yield invalid('spec.aiOptimization', 'minInterval is at most maxInterval');
  const { labels = {}, annotations = {} } = spec.backupTemplate.metadata ?? {};
  const path = 'spec.backupTemplate.metadata';
  for (const [key, value] of Object.entries(labels)) {
    if (!isLabelKey(key)) yield invalid(`${path}.labels`, `${JSON.stringify(key)} is no name of a label`);
    if (!isLabelValue(value))
      yield invalid(`${path}.labels`, `${JSON.stringify(value)} is no value of a label`);
    if (isOurs(key)) yield invalid(`${path}.labels`, `${key} is for etcdguardian itself to set`);
  }
  for (const key of Object.keys(annotations)) {
    // Annotations' names are as labels' are, but of any case.
    if (!isLabelKey(key.toLowerCase()))
      yield invalid(`${path}.annotations`, `${JSON.stringify(key)} is no name of an annotation`);
  }
}

function* timeProblems(text: string, timeZone: string | undefined): Generator<Objection> {
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    yield invalid(
      'spec.timeZone',
      `${JSON.stringify(timeZone)} is no time zone; write it like Europe/Berlin`,
    );
    return;
  }
  try {
    const cron = new Cron(text, {
      paused: true,
      mode: '5-part',
      ...(timeZone === undefined ? {} : { timezone: timeZone }),
    });
    if (cron.nextRun() === null) yield invalid('spec.schedule', 'it never comes');
  } catch (error) {
    yield invalid('spec.schedule', `${JSON.stringify(text)} is no cron expression: ${reasonOf(error)}`);
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    // Offsets (`+01:00`) are zones to Intl, but not to the schedule.
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
