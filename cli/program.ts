import { Command } from 'commander';
import { COMMANDS, type Leaf, type Source } from './commands.ts';
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

When something is wrong:
  kubectl etcdguardian doctor            looks at everything in a cluster, and says what to do (or: etcdguardian kube doctor)
  etcdguardian restore cluster --help    no API server left: by the agents; with none of them: restore node, on each node
  etcdguardian rescue --help             what a dead member's disk has, as a snapshot

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
  if (session.terminal.env.ETCDGUARDIAN_CALLED_AS === PLUGIN) nameAsPlugin(program);
  throwing(program, session);
  return program;
}

/** What bin/kubectl-etcdguardian says that a person has typed in place of `etcdguardian kube`. */
const PLUGIN = 'kubectl etcdguardian';

/** Help says then what works when it is typed again. */
function nameAsPlugin(program: Command): void {
  const own = program.createHelp();
  const usageOf = own.commandUsage.bind(own);
  const named = (command: Command): void => {
    command.configureHelp({
      commandUsage: (it) => usageOf(it).replace(/^etcdguardian kube\b/, PLUGIN),
    });
    for (const child of command.commands) named(child);
  };
  named(program);
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
