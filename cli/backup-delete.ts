import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import { print } from './output.ts';
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

interface DeleteOptions extends RepositoryOptions, ReportOptions {
  readonly reason?: string;
  readonly evenTheLast?: boolean;
}

export function backupDeleteCommand(session: Session): Command {
  const command = new Command('delete')
    .summary('remove a backup; it can be brought back for 24 hours')
    .description(
      `Hides the backup at once. Its data is deleted by the first "backup sweep" after
24 hours; until then "backup undelete" brings it back. The last good backup of a
cluster is only removed with --even-the-last.`,
    )
    .argument('<backup>', 'its id, or an unambiguous beginning of it')
    .option('--reason <text>', 'why, for the record')
    .option('--even-the-last', 'also when no other good backup of the cluster remains');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: DeleteOptions) => {
      const { terminal } = session;
      const { signal } = terminal;
      const report = reporting(session, options);
      const { repository } = await openRepositoryWith(session, options, report.progress);
      const cluster = await theCluster(repository, options, terminal);
      const entries = await repository.listBackups(cluster, { signal });
      const matching = entries.filter((entry) => entry.id.startsWith(which));
      const [backup] = matching;
      if (backup === undefined || matching.length > 1) {
        const found = matching.length > 1 ? `means ${matching.length} backups` : 'is no backup';
        throw new GuardianError(
          matching.length > 1 ? 'repository.ambiguous' : 'repository.not-found',
          `"${which}" ${found} of cluster ${cluster}`,
          { hint: 'see "etcdguardian backup list" for the ids; "latest" is not accepted for a deletion' },
        );
      }
      const others = entries.filter((entry) => entry.state === 'sound' && entry.id !== backup.id);
      if (backup.state === 'sound' && others.length === 0 && options.evenTheLast !== true) {
        throw new GuardianError(
          'backup.last-good',
          `${backup.id} is the last good backup of cluster ${cluster}`,
          {
            hint: 'make another one first, or repeat with --even-the-last',
          },
        );
      }
      const lost = await repository.points.lostWithout(backup, { signal });
      if (lost !== undefined && lost.to.revision > lost.from.revision) {
        const [from, to] = [lost.from, lost.to].map(
          ({ revision, seenAt }) => `${revision} (${instant(seenAt)})`,
        );
        report.progress.say(
          `warning: revisions ${from} to ${to} can no longer be restored without this backup: nothing else is before what was captured there`,
        );
      }
      const removal = await repository.removeBackup(
        backup,
        { by: userName(), reason: options.reason },
        { signal },
      );
      print(terminal, report.format, { id: backup.id, cluster, ...removal, pointsLost: lost ?? null }, () => {
        return `removed backup ${backup.id}; until ${removal.deleteAfter.toISOString()} "backup undelete ${backup.id}" brings it back\n`;
      });
    },
  );
}
