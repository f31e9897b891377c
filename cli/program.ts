import { Command } from 'commander';
import { backupCreateCommand } from './backup-create.ts';
import { backupDeleteCommand } from './backup-delete.ts';
import { backupListCommand } from './backup-list.ts';
import { backupShowCommand } from './backup-show.ts';
import { backupPruneCommand, backupSweepCommand, backupUndeleteCommand } from './backup-upkeep.ts';
import { backupVerifyCommand } from './backup-verify.ts';
import { completionScript } from './completion.ts';
import { EXIT_CODE_HELP } from './exit-code.ts';
import { keysCommand } from './keys.ts';
import { restoreCommand } from './restore.ts';
import { type Session } from './session.ts';
import { snapshotDiffCommand } from './snapshot-diff.ts';
import { snapshotInspectCommand } from './snapshot-inspect.ts';
import { snapshotVerifyCommand } from './snapshot-verify.ts';
import { VERSION } from './version.ts';

/** The whole command line, ready to parse. Errors are thrown, never exited with. */
export function buildProgram(session: Session): Command {
  const program = new Command('etcdguardian')
    .description('Proven backups and restores of etcd, and of the Kubernetes control planes that live in it.')
    .version(VERSION, '-V, --version')
    .addHelpText(
      'after',
      `
First steps:
  etcdguardian keys create --out guardian.key --recovery-out recovery.pem    then put recovery.pem in a safe
  etcdguardian backup create --endpoints https://127.0.0.1:2379 --cacert ca.crt --cert c.crt --key c.key \\
      --store s3://bucket/prefix --key-file guardian.key
  etcdguardian backup verify latest --deep --store s3://bucket/prefix --key-file guardian.key
  etcdguardian restore --store s3://bucket/prefix --key-file guardian.key --data-dir /var/lib/etcd

S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or the workload's identity.

${EXIT_CODE_HELP}`,
    );
  program
    .command('backup')
    .description('backups in a store')
    .addCommand(backupCreateCommand(session))
    .addCommand(backupListCommand(session))
    .addCommand(backupShowCommand(session))
    .addCommand(backupVerifyCommand(session))
    .addCommand(backupDeleteCommand(session))
    .addCommand(backupUndeleteCommand(session))
    .addCommand(backupPruneCommand(session))
    .addCommand(backupSweepCommand(session));
  program.addCommand(restoreCommand(session));
  program
    .command('snapshot')
    .description('any snapshot file of etcd, wherever it came from')
    .addCommand(snapshotVerifyCommand(session))
    .addCommand(snapshotInspectCommand(session))
    .addCommand(snapshotDiffCommand(session));
  program.addCommand(keysCommand(session));
  program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('For bash: source <(etcdguardian completion bash). For zsh and fish likewise.')
    .argument('<shell>', 'bash, zsh or fish')
    .action((shell: string) => {
      session.terminal.stdout.write(completionScript(program, shell));
    });
  throwing(program, session);
  return program;
}

/** commander's own exits and prints, in this program's hands. */
function throwing(command: Command, session: Session): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => session.terminal.stdout.write(text),
    writeErr: (text) => session.terminal.stderr.write(text),
  });
  command.showHelpAfterError('(--help shows what there is)');
  for (const child of command.commands) throwing(child, session);
}
