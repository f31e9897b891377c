import { Command } from 'commander';
import type { SweepReport } from '../lib/repository/repository.ts';
import { bytes, count, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
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
