import { Command } from 'commander';
import type { VerifyReport } from '../lib/repository/repository.ts';
import { EXIT_CODES } from './exit-code.ts';
import { bytes, count, print } from './output.ts';
import { problemLines } from './problem-lines.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface BackupVerifyOptions extends RepositoryOptions, ReportOptions {
  readonly deep?: boolean;
}

export function backupVerifyCommand(session: Session): Command {
  const command = new Command('verify')
    .summary('check a stored backup, by its bytes or down to every revision')
    .description(
      `Without --deep: manifest, signature, size and sha256 of every object as stored;
needs no decryption key.
With --deep: also downloads, decrypts and decompresses, checks every page and
record, and compares every figure with the manifest, HashKV included: what
passes can be restored. Files of nodes are read as "attachments extract" reads
them, and written nowhere.`,
    )
    .argument('[backup]', 'its id, an unambiguous beginning of it, or "latest"', 'latest')
    .option('--deep', 'decrypt and check the whole content as well');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: BackupVerifyOptions) => {
      const { terminal } = session;
      const report = reporting(session, options);
      const opened = await openRepositoryWith(session, options, report.progress);
      const { repository } = opened;
      const cluster = await theCluster(repository, options, terminal);
      await opened.warnIfOlder([cluster]);
      const { backup, passedOver } = await repository.find(cluster, which, { signal: terminal.signal });
      for (const damaged of passedOver) {
        report.progress.say(`warning: ${damaged.id} is newer but can't be used: ${damaged.problem.message}`);
      }
      const depth = options.deep === true ? 'deep' : 'stored';
      const verified = await repository.verifyBackup(backup, {
        depth,
        signal: terminal.signal,
        onProgress: (done, total) => {
          report.progress.update({ label: 'verifying', done, total });
        },
      });
      report.progress.end();
      print(terminal, report.format, verified, () => verifiedText(verified));
      if (!verified.sound) session.exitCode = EXIT_CODES.unsound;
    },
  );
}

function verifiedText(report: VerifyReport): string {
  const checked =
    report.depth === 'deep'
      ? `${count(report.objects)} objects, ${bytes(report.storedBytes)} stored, ${bytes(report.plainBytes)} of database checked to the last revision`
      : `${count(report.objects)} objects, ${bytes(report.storedBytes)}, as stored (--deep also checks their content)`;
  return (
    `backup ${report.id} is ${report.sound ? 'sound' : 'NOT sound'}: ${checked}\n` + problemLines(report)
  );
}
