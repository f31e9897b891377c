import { Command, Option } from 'commander';
import type { NodeByHand } from '../agent/restore/node-by-hand.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import type { JournalEntry } from '../lib/restore/cluster/journal.ts';
import { parseDuration } from './option-values.ts';
import { print } from './output.ts';
import { withAcceptedMismatches, withPointOptions } from './point-options.ts';
import { reporting, type Reporting, withReportOptions } from './report-options.ts';
import { withRepositoryOptions } from './repository-options.ts';
import type { NodeOptions } from './restore-node-options.ts';
import { planNode, stageNode } from './restore-node-plan.ts';
import { throughSteps } from './restore-node-steps.ts';
import type { Session } from './session.ts';

export function restoreNodeCommand(session: Session): Command {
  const command = new Command('node')
    .summary('restore the member of this node, with nothing alive but its disk and the store')
    .description(
      `Run as root on each control-plane node. Finds etcd as the agent does (its static
pod's manifest, or unit), fetches and verifies the data beside the present one,
stops the API server and etcd of this node, takes a rescue snapshot of the old
data where it can be read, puts the new data in its place, starts etcd, waits
for the other members, compares the hash, and starts the API server. The old
data is kept in .etcdguardian of the data dir.

  etcdguardian restore node --store s3://b/p --key-file guardian.key --yes

Run the same on the other nodes within a day: they find each other by a record
in the store. Members and their peer URLs are those that the old data knows,
else give --initial-cluster, the same everywhere. With --snapshot no store is
needed; the same file on all nodes, then.

Without --yes it only tells the plan. Each step is journaled: after a crash, or
Ctrl-C, the same command goes on where it was; --roll-back puts the old data
back as long as the new was not verified.`,
    )
    .addOption(
      new Option('--backup <id>', 'this backup (default: the newest restore point)').conflicts([
        'toRevision',
        'toTime',
      ]),
    )
    .addOption(
      new Option('--snapshot <file>', 'restore this snapshot file, e.g. of "rescue"').conflicts([
        'backup',
        'toRevision',
        'toTime',
      ]),
    )
    .option('--allow-missing-trailer', 'with --snapshot: accept a database without sha256 trailer')
    .option('--allow-older', 'accept that the store holds only older backups than this machine has seen')
    .option('--join-restore <number>', 'make this member again for that restore; see "restores list"')
    .option('--name <name>', 'name of this member (default: as its manifest has it)')
    .option('--initial-cluster <list>', 'all members of the restored cluster: name=peer-url,…')
    .option('--initial-cluster-token <token>', 'instead of the one that is chosen; the same for all members')
    .option(
      '--etcd-version <version>',
      'the etcd that will run on it, e.g. 3.6.16: checks, and adapts the file',
    )
    .option('--no-quiesce', 'stop no API server: only where none uses this etcd')
    .option('--no-rescue', 'make no rescue snapshot of the old data, which is kept in any case')
    .option(
      '--with-attachments',
      'first put keys, certificates and manifests of the node in place: on new hardware',
    )
    .option('--attachments-of <node>', 'of this node (default: the only one that the backup has any of)')
    .option('--wait <duration>', 'how long to wait until enough members run that etcd serves', '30m')
    .option('--manifests-dir <folder>', "the kubelet's static pods (default /etc/kubernetes/manifests)")
    .option('--etcd-unit <name>', "etcd's unit (default etcd.service)")
    .option('--state-dir <folder>', 'where the journal is kept (default /var/lib/etcdguardian)')
    .addOption(new Option('--plan', 'tell what would happen, and end (the default)').conflicts('yes'))
    .option('--yes', 'do what the plan says')
    .addOption(new Option('--roll-back', 'put the old data back').conflicts(['plan', 'cleanUp']))
    .addOption(new Option('--clean-up', 'remove the old data of the last restore').conflicts('plan'));
  withRepositoryOptions(withAcceptedMismatches(withPointOptions(command)));
  return withReportOptions(command).action(async (options: NodeOptions) => {
    await restoreNode(session, options);
  });
}

async function restoreNode(session: Session, options: NodeOptions): Promise<void> {
  const { terminal, clock } = session;
  const report = reporting(session, options);
  const waitMs = parseDuration(options.wait, '--wait');
  const { nodeByHand } = await import('../agent/restore/node-by-hand.ts');
  const { manifestsDir, etcdUnit, stateDir } = options;
  const flags = {
    ...(manifestsDir === undefined ? {} : { manifestsDir }),
    ...(etcdUnit === undefined ? {} : { etcdUnit }),
    ...(stateDir === undefined ? {} : { stateDir }),
  };
  const node = await nodeByHand({ env: terminal.env, flags, clock, signal: terminal.signal });
  if (options.rollBack === true) await rollBack(session, node, report);
  else if (options.cleanUp === true) await cleanUp(session, node, report);
  else {
    const entry = await readyEntry(session, options, node, report);
    if (entry !== undefined)
      await throughSteps(session, { node, entry, rescue: options.rescue, waitMs }, report);
  }
}

/** What lies staged, or is further; undefined: it was only planned. */
async function readyEntry(
  session: Session,
  options: NodeOptions,
  node: NodeByHand,
  report: Reporting,
): Promise<JournalEntry | undefined> {
  const { underWay } = node;
  const { progress } = report;
  if (underWay?.state === 'RollingBack') throw goingBack(underWay);
  if (underWay !== undefined && underWay.state !== 'Staging') {
    progress.say(`restore ${underWay.operation} is under way on this node (${underWay.state})`);
    if (options.yes === true) return underWay;
    tellOnly(session, report, {}, 'To go on with it, add --yes; to have the old data back: --roll-back.\n');
    return undefined;
  }
  const planned = await planNode(session, options, node, underWay, progress);
  if (options.yes !== true) {
    tellOnly(session, report, planned.value, 'Nothing was done. To do it, add --yes.\n');
    return undefined;
  }
  return await stageNode(session, planned, node, progress);
}

function tellOnly(session: Session, report: Reporting, value: object, text: string): void {
  report.progress.end();
  print(session.terminal, report.format, value, () => text);
}

async function rollBack(session: Session, node: NodeByHand, report: Reporting): Promise<void> {
  const { underWay, last } = node;
  if (underWay === undefined) throw nothingOpen(last);
  session.doubt = 'the way back is under way: run the same command again';
  const { message } = await node.steps(underWay.operation).rollBack({
    ...{ code: 'restore.cancelled', message: 'a person put the old data back', hint: '', retryable: false },
  });
  session.doubt = undefined;
  const value = { operation: underWay.operation, state: 'RolledBack' };
  print(session.terminal, report.format, value, () => `the old data is back: ${message}\n`);
}

async function cleanUp(session: Session, node: NodeByHand, report: Reporting): Promise<void> {
  const { underWay, last } = node;
  if (underWay !== undefined)
    throw new GuardianError(
      'restore.busy',
      `restore ${underWay.operation} is ${underWay.state} on this node`,
      {
        hint: 'Go on with it, or go back, first.',
      },
    );
  if (last === undefined) throw nothingOpen(last);
  await node.steps(last.operation).cleanUp();
  const value = { operation: last.operation, state: 'CleanedUp' };
  print(
    session.terminal,
    report.format,
    value,
    () => `the data before restore ${last.operation} is removed\n`,
  );
}

function goingBack({ operation, message }: JournalEntry): GuardianError {
  return new GuardianError('restore.order', `restore ${operation} goes back on this node: ${message}`, {
    hint: 'Bring that to its end first: etcdguardian restore node --roll-back',
  });
}

function nothingOpen(last: JournalEntry | undefined): GuardianError {
  return new GuardianError(
    last === undefined ? 'restore.unknown' : 'restore.order',
    last === undefined
      ? 'no restore was made on this node by hand'
      : `restore ${last.operation} is over on this node (${last.state})`,
    {
      hint:
        last?.state === 'Resumed'
          ? `Its members have verified it. To have the old data all the same: stop etcd on all nodes, and put the content of .etcdguardian/${last.operation}/previous in ${last.etcd.dataDir} back by hand.`
          : 'A restore that an agent makes is settled with "etcdguardian restore settle".',
    },
  );
}
