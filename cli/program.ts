import { Command } from 'commander';
import { completionScript } from './completion.ts';
import { EXIT_CODE_HELP } from './exit-code.ts';
import type { Session } from './session.ts';
import { VERSION } from '../lib/program-version.ts';

/**
 * The command line, ready to parse `args`. Errors are thrown, never exited with. Of the commands only those are loaded
 * that `args` may be about: most of a start is loading what another command needs.
 */
export async function buildProgram(session: Session, args: readonly string[]): Promise<Command> {
  const program = new Command('etcdguardian')
    .description('Proven backups and restores of etcd, and of the Kubernetes control planes that live in it.')
    .version(VERSION, '-V, --version')
    // A command that has commands below it leaves them what stands behind their names.
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
First steps:
  etcdguardian keys create --out guardian.key --recovery-out recovery.pem    then put recovery.pem in a safe
  etcdguardian backup create --endpoints https://127.0.0.1:2379 --cacert ca.crt --cert c.crt --key c.key \\
      --store s3://bucket/prefix --key-file guardian.key
  etcdguardian backup verify latest --deep --store s3://bucket/prefix --key-file guardian.key
  etcdguardian capture run --endpoints … --store s3://bucket/prefix --key-file guardian.key    every change, as it happens
  etcdguardian points list --store s3://bucket/prefix --key-file guardian.key                  what can be restored
  etcdguardian restore --store s3://bucket/prefix --key-file guardian.key --data-dir /var/lib/etcd [--to-time 14:05]

S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or the workload's identity.

${EXIT_CODE_HELP}`,
    );
  for (const source of wantedBy(args)) program.addCommand(await commandOf(source, session));
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

type Source = Leaf | Group;

interface Leaf {
  readonly name: string;
  readonly load: (session: Session) => Promise<Command>;
  /** Commands below one that does something by itself, too. */
  readonly children?: readonly Leaf[];
}

interface Group {
  readonly name: string;
  readonly description: string;
  readonly children: readonly Source[];
}

const COMMANDS: readonly Source[] = [
  {
    name: 'backup',
    description: 'backups in a store',
    children: [
      {
        name: 'create',
        load: async (session) => (await import('./backup-create.ts')).backupCreateCommand(session),
      },
      {
        name: 'list',
        load: async (session) => (await import('./backup-list.ts')).backupListCommand(session),
      },
      {
        name: 'show',
        load: async (session) => (await import('./backup-show.ts')).backupShowCommand(session),
      },
      {
        name: 'verify',
        load: async (session) => (await import('./backup-verify.ts')).backupVerifyCommand(session),
      },
      {
        name: 'delete',
        load: async (session) => (await import('./backup-delete.ts')).backupDeleteCommand(session),
      },
      {
        name: 'undelete',
        load: async (session) => (await import('./backup-upkeep.ts')).backupUndeleteCommand(session),
      },
      {
        name: 'prune',
        load: async (session) => (await import('./backup-prune.ts')).backupPruneCommand(session),
      },
      {
        name: 'sweep',
        load: async (session) => (await import('./backup-upkeep.ts')).backupSweepCommand(session),
      },
    ],
  },
  {
    name: 'capture',
    description: 'every change of a cluster, stored as it happens',
    children: [
      {
        name: 'run',
        load: async (session) => (await import('./capture-run.ts')).captureRunCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./capture-status.ts')).captureStatusCommand(session),
      },
    ],
  },
  {
    name: 'restore',
    load: async (session) => (await import('./restore.ts')).restoreCommand(session),
    children: [
      {
        name: 'cluster',
        load: async (session) => (await import('./restore-cluster.ts')).restoreClusterCommand(session),
      },
      {
        name: 'node',
        load: async (session) => (await import('./restore-node.ts')).restoreNodeCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./restore-status.ts')).restoreStatusCommand(session),
      },
      {
        name: 'settle',
        load: async (session) => (await import('./restore-settle.ts')).restoreSettleCommand(session),
      },
      {
        name: 'clean-up',
        load: async (session) => (await import('./restore-settle.ts')).restoreCleanUpCommand(session),
      },
    ],
  },
  { name: 'rescue', load: async (session) => (await import('./rescue.ts')).rescueCommand(session) },
  {
    name: 'drill',
    description: 'proof that a backup restores, by restoring it',
    children: [
      {
        name: 'run',
        load: async (session) => (await import('./drill.ts')).drillRunCommand(session),
      },
    ],
  },
  {
    name: 'points',
    description: 'what can be restored: every captured revision, not only the backups',
    children: [
      {
        name: 'list',
        load: async (session) => (await import('./points-list.ts')).pointsListCommand(session),
      },
      {
        name: 'verify',
        load: async (session) => (await import('./points-verify.ts')).pointsVerifyCommand(session),
      },
      {
        name: 'undelete',
        load: async (session) => (await import('./points-undelete.ts')).pointsUndeleteCommand(session),
      },
      {
        name: 'export',
        load: async (session) => (await import('./points-export.ts')).pointsExportCommand(session),
      },
    ],
  },
  {
    name: 'attachments',
    description: "a node's own files, which backups take along",
    children: [
      {
        name: 'show',
        load: async (session) => (await import('./attachments.ts')).attachmentsShowCommand(session),
      },
      {
        name: 'extract',
        load: async (session) => (await import('./attachments.ts')).attachmentsExtractCommand(session),
      },
    ],
  },
  {
    name: 'history',
    description: 'what became of single keys',
    children: [
      {
        name: 'get',
        load: async (session) => (await import('./history-get.ts')).historyGetCommand(session),
      },
    ],
  },
  {
    name: 'restores',
    description: 'restores that were made from a store',
    children: [
      {
        name: 'list',
        load: async (session) => (await import('./restores-list.ts')).restoresListCommand(session),
      },
    ],
  },
  {
    name: 'snapshot',
    description: 'any snapshot file of etcd, wherever it came from',
    children: [
      {
        name: 'verify',
        load: async (session) => (await import('./snapshot-verify.ts')).snapshotVerifyCommand(session),
      },
      {
        name: 'inspect',
        load: async (session) => (await import('./snapshot-inspect.ts')).snapshotInspectCommand(session),
      },
      {
        name: 'diff',
        load: async (session) => (await import('./snapshot-diff.ts')).snapshotDiffCommand(session),
      },
    ],
  },
  { name: 'keys', load: async (session) => (await import('./keys.ts')).keysCommand(session) },
  {
    name: 'kube',
    description: 'a cluster that this is installed in; as a plugin: kubectl etcdguardian …',
    children: [
      {
        name: 'backup',
        description: 'EtcdBackups',
        children: [
          {
            name: 'create',
            load: async (session) =>
              (await import('./kube/backup-create.ts')).kubeBackupCreateCommand(session),
          },
          {
            name: 'wait',
            load: async (session) => (await import('./kube/backup-wait.ts')).kubeBackupWaitCommand(session),
          },
          {
            name: 'list',
            load: async (session) => (await import('./kube/backup-list.ts')).kubeBackupListCommand(session),
          },
          {
            name: 'show',
            load: async (session) => (await import('./kube/backup-show.ts')).kubeBackupShowCommand(session),
          },
        ],
      },
      {
        name: 'restore',
        description: 'EtcdRestores',
        children: [
          {
            name: 'create',
            load: async (session) =>
              (await import('./kube/restore-create.ts')).kubeRestoreCreateCommand(session),
          },
          {
            name: 'wait',
            load: async (session) => (await import('./kube/restore-wait.ts')).kubeRestoreWaitCommand(session),
          },
          {
            name: 'list',
            load: async (session) => (await import('./kube/restore-list.ts')).kubeRestoreListCommand(session),
          },
          {
            name: 'show',
            load: async (session) => (await import('./kube/restore-show.ts')).kubeRestoreShowCommand(session),
          },
        ],
      },
      {
        name: 'points',
        load: async (session) => (await import('./kube/points.ts')).kubePointsCommand(session),
      },
      {
        name: 'status',
        load: async (session) => (await import('./kube/status.ts')).kubeStatusCommand(session),
      },
      {
        name: 'doctor',
        load: async (session) => (await import('./kube/doctor.ts')).kubeDoctorCommand(session),
      },
    ],
  },
  {
    name: 'pki',
    description: 'identities for the agents of a cluster',
    children: [
      { name: 'issue', load: async (session) => (await import('./pki-issue.ts')).pkiIssueCommand(session) },
      { name: 'show', load: async (session) => (await import('./pki-show.ts')).pkiShowCommand(session) },
    ],
  },
  { name: 'agent', load: async (session) => (await import('./agent.ts')).agentCommand(session) },
  {
    name: 'controlplane',
    load: async (session) => (await import('./controlplane.ts')).controlPlaneCommand(session),
  },
  { name: 'webhook', load: async (session) => (await import('./webhook.ts')).webhookCommand(session) },
];

/** The one command that is named, or all of them where help, completion or a correction may want them. */
function wantedBy([first, ...rest]: readonly string[], sources = COMMANDS): readonly Source[] {
  if (sources === COMMANDS && (first === '--version' || first === '-V')) return [];
  const named = sources.find(({ name }) => name === first);
  if (named === undefined) return sources;
  if ('load' in named) return [withWanted(named, rest)];
  return [{ ...named, children: wantedBy(rest, named.children) }];
}

/** Of the commands below it, the one that is named, or all where help or completion may want them. */
function withWanted(leaf: Leaf, args: readonly string[]): Leaf {
  const { children = [] } = leaf;
  const [first = ''] = args;
  const named = children.filter(({ name }) => name === first);
  if (named.length > 0) return { ...leaf, children: named };
  const isItself = first.startsWith('-') && !args.some((arg) => arg === '--help' || arg === '-h');
  return { ...leaf, children: isItself ? [] : children };
}

async function commandOf(source: Source, session: Session): Promise<Command> {
  if ('load' in source) {
    const command = await source.load(session);
    for (const child of source.children ?? []) command.addCommand(await commandOf(child, session));
    return command;
  }
  const group = new Command(source.name).description(source.description);
  for (const child of source.children) group.addCommand(await commandOf(child, session));
  return group;
}
