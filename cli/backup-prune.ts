import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import type {
  RetentionDecision,
  RetentionPlan,
  RetentionPolicy,
  SegmentsDecision,
} from '../lib/repository/retention-policy.ts';
import { parseCount, parseDuration } from './option-values.ts';
import { bytes, count, counted, print, table } from './output.ts';
import { instant } from './point-spans-text.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

interface PruneOptions extends RepositoryOptions, ReportOptions {
  readonly keepWithin?: string;
  readonly keepLast?: string;
  readonly keepHourly?: string;
  readonly keepDaily?: string;
  readonly keepWeekly?: string;
  readonly keepMonthly?: string;
  readonly maxBackups?: string;
  readonly maxAge?: string;
  readonly dryRun?: boolean;
}

export function backupPruneCommand(session: Session): Command {
  const command = new Command('prune')
    .summary('remove what is too old or too much: backups and segments, never the newest restore point')
    .description(
      `Decides on restore points, and keeps what those need: a base goes only when no
point that is kept needs it. What any --keep rule chooses stays, what none
chooses goes; --max-backups and --max-age say what goes in any case. Hours,
days, weeks (from Monday) and months are those of UTC that hold any restore
point; of each the newest base is kept, or where it has none, the end of the
newest segment.

  every point of the last day, one an hour for a week, one a day for a month:
  etcdguardian backup prune --keep-within 24h --keep-hourly 168 \\
    --keep-daily 31 --dry-run

What is removed is hidden at once and deleted by the first "backup sweep" after
24 hours; until then "backup undelete" brings backups back, and "points
undelete" segments.`,
    )
    .option('--keep-within <duration>', 'every restore point younger than this, e.g. 24h')
    .option('--keep-last <n>', 'so many of the newest bases')
    .option('--keep-hourly <n>', 'a point of each of the newest n hours')
    .option('--keep-daily <n>', 'a point of each of the newest n days')
    .option('--keep-weekly <n>', 'a point of each of the newest n weeks')
    .option('--keep-monthly <n>', 'a point of each of the newest n months')
    .option('--max-backups <n>', 'keep at most so many good backups')
    .option('--max-age <duration>', 'keep nothing older than this, e.g. 720h or 30d')
    .option('--dry-run', 'only say what would be removed, and why');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: PruneOptions) => {
    const { terminal } = session;
    const { signal } = terminal;
    const report = reporting(session, options);
    const policy = policyOf(options);
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const dryRun = options.dryRun === true;
    const plan = dryRun
      ? await repository.planRetention(cluster, policy, { signal })
      : await repository.applyRetention(cluster, policy, { by: userName(), reason: 'retention' }, { signal });
    print(terminal, report.format, { cluster, dryRun, ...planValue(plan) }, () => planText(plan, dryRun));
  });
}

function policyOf(options: PruneOptions): RetentionPolicy {
  const many = (text: string | undefined, option: string): number | undefined =>
    text === undefined ? undefined : parseCount(text, option);
  const long = (text: string | undefined, option: string): number | undefined =>
    text === undefined ? undefined : parseDuration(text, option);
  const policy = {
    keepWithinMs: long(options.keepWithin, '--keep-within'),
    keepLast: many(options.keepLast, '--keep-last'),
    keepHourly: many(options.keepHourly, '--keep-hourly'),
    keepDaily: many(options.keepDaily, '--keep-daily'),
    keepWeekly: many(options.keepWeekly, '--keep-weekly'),
    keepMonthly: many(options.keepMonthly, '--keep-monthly'),
    maxBackups: many(options.maxBackups, '--max-backups'),
    maxAgeMs: long(options.maxAge, '--max-age'),
  };
  if (Object.values(policy).some((value) => value !== undefined)) return policy;
  throw new GuardianError('usage.retention', 'nothing says what to keep', {
    hint: 'give --keep-within, --keep-last, --keep-hourly, --keep-daily, --keep-weekly, --keep-monthly, --max-backups or --max-age; try it with --dry-run',
  });
}

function planValue({ keep, remove, segments, points }: RetentionPlan): Readonly<Record<string, unknown>> {
  const brief = (list: readonly RetentionDecision[]): unknown =>
    list.map(({ backup, reason }) => ({ id: backup.id, timeline: backup.timeline, reason }));
  return {
    keep: brief(keep),
    remove: brief(remove),
    segments: segments.map(({ chain, ...rest }) => ({ chain: chain.id, timeline: chain.timeline, ...rest })),
    points,
  };
}

function planText({ keep, remove, segments, points }: RetentionPlan, dryRun: boolean): string {
  const goes = dryRun ? 'would go' : 'removed';
  const backupRows = [
    ...keep.map(({ backup, reason }) => ['keep', backup.id, reason]),
    ...remove.map(({ backup, reason }) => [goes, backup.id, reason]),
  ];
  const trimmed = segments.filter(({ action }) => action === 'trim');
  const freed = trimmed.reduce((sum, one) => sum + one.bytes, 0);
  return (
    table(['', 'BACKUP', 'WHY'], backupRows) +
    (segments.length === 0 ? '' : `\n${segmentsTable(segments, goes)}`) +
    (points.length === 0
      ? ''
      : `\n${table(
          ['POINT', 'OF', 'KEPT FOR'],
          points.map(({ revision, seenAt, reasons }) => [
            count(revision),
            instant(seenAt),
            reasons.join(', '),
          ]),
        )}`) +
    `\n${dryRun ? 'would remove' : 'removed'} ${counted(remove.length, 'backup')} and ${counted(countOf(trimmed), 'segment')} (${bytes(freed)}); nothing is deleted before 24 hours have passed\n`
  );
}

function segmentsTable(segments: readonly SegmentsDecision[], goes: string): string {
  return table(
    ['', 'SEGMENTS', 'REVISIONS', 'STORED', 'WHY'],
    segments.map(({ action, segments: many, from, to, bytes: size, reason }) => [
      action === 'keep' ? 'keep' : goes,
      count(many),
      `from ${count(from)} to below ${count(to)}`,
      bytes(size),
      reason,
    ]),
  );
}

function countOf(decisions: readonly SegmentsDecision[]): number {
  return decisions.reduce((sum, { segments }) => sum + segments, 0);
}
