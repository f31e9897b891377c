import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import { planRetention } from '../lib/repository/retention.ts';
import { type RetentionPlan, type SweepReport } from '../lib/repository/repository.ts';
import { parseCount, parseDuration } from './option-values.ts';
import { bytes, count, print, table } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import { type Session } from './session.ts';
import { userName } from './user-name.ts';

type UndeleteOptions = RepositoryOptions & ReportOptions;

export function backupUndeleteCommand(session: Session): Command {
  const command = new Command('undelete')
    .summary('bring a removed backup back, within 24 hours')
    .argument('<backup>', 'its id, or an unambiguous beginning of it');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: UndeleteOptions) => {
      const { terminal } = session;
      const report = reporting(session, options);
      const { repository } = await openRepositoryWith(session, options, report.progress);
      const cluster = await theCluster(repository, options, terminal);
      const call = { signal: terminal.signal, includeRemoved: true };
      const { backup } = await repository.find(cluster, which, call);
      await repository.undeleteBackup(backup, { by: userName() }, { signal: terminal.signal });
      print(terminal, report.format, { id: backup.id, cluster }, () => `backup ${backup.id} is back\n`);
    },
  );
}

interface PruneOptions extends RepositoryOptions, ReportOptions {
  readonly maxBackups?: string;
  readonly maxAge?: string;
  readonly dryRun?: boolean;
}

export function backupPruneCommand(session: Session): Command {
  const command = new Command('prune')
    .summary('remove old backups by count and age, never the last good one')
    .option('--max-backups <n>', 'keep at most so many good ones')
    .option('--max-age <duration>', 'keep none older than this, e.g. 720h or 30d')
    .option('--dry-run', 'only say what would be removed, and why');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: PruneOptions) => {
    const { terminal } = session;
    const { signal } = terminal;
    const report = reporting(session, options);
    const policy = {
      maxBackups:
        options.maxBackups === undefined ? undefined : parseCount(options.maxBackups, '--max-backups'),
      maxAgeMs: options.maxAge === undefined ? undefined : parseDuration(options.maxAge, '--max-age'),
    };
    if (policy.maxBackups === undefined && policy.maxAgeMs === undefined) {
      throw new GuardianError('usage.retention', 'nothing says what to keep', {
        hint: 'give --max-backups, --max-age or both',
      });
    }
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const plan =
      options.dryRun === true
        ? planRetention(await repository.listBackups(cluster, { signal }), policy, session.clock())
        : await repository.applyRetention(
            cluster,
            policy,
            { by: userName(), reason: 'retention' },
            { signal },
          );
    const brief = (list: RetentionPlan['keep']) =>
      list.map(({ backup, reason }) => ({ id: backup.id, reason }));
    const value = {
      cluster,
      dryRun: options.dryRun === true,
      keep: brief(plan.keep),
      remove: brief(plan.remove),
    };
    print(terminal, report.format, value, () => {
      const rows = (word: string, list: RetentionPlan['keep']): string[][] =>
        list.map(({ backup, reason }) => [word, backup.id, reason]);
      const removal = options.dryRun === true ? 'would go' : 'removed';
      return table(['', 'BACKUP', 'WHY'], [...rows('keep', plan.keep), ...rows(removal, plan.remove)]);
    });
  });
}

interface SweepCommandOptions extends RepositoryOptions, ReportOptions {
  readonly dryRun?: boolean;
}

export function backupSweepCommand(session: Session): Command {
  const command = new Command('sweep')
    .summary('delete what nobody can need: remains of failed backups, removed ones past their 24 hours')
    .option('--dry-run', 'only say what would be deleted');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: SweepCommandOptions) => {
    const { terminal } = session;
    const report = reporting(session, options);
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const swept = await repository.sweep({ signal: terminal.signal, dryRun: options.dryRun });
    const refused = swept.refused.map(({ name, problem }) => ({
      name,
      code: problem.code,
      message: problem.message,
    }));
    print(terminal, report.format, { ...swept, refused }, () => sweepText(swept));
  });
}

function sweepText(report: SweepReport): string {
  const size = report.deleted.reduce((sum, object) => sum + object.size, 0);
  return (
    `${count(report.deleted.length)} objects (${bytes(size)}) and ${count(report.abortedUploads)} unfinished uploads\n` +
    report.deleted.map(({ name, reason }) => `  ${name}: ${reason}\n`).join('') +
    report.refused.map(({ name, problem }) => `  could not delete ${name}: ${problem.message}\n`).join('') +
    report.unknown.map((name) => `  left alone, not ours: ${name}\n`).join('')
  );
}
