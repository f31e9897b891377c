import { Command, Option } from 'commander';
import { judgeVersions, type VersionEdits } from '../lib/etcd/datadir/version-rules.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { restoreOffline, type Restored } from '../lib/restore/offline-restore.ts';
import type { RestorePlan, RestoreRequest } from '../lib/restore/restore-plan.ts';
import { keysNeeded } from '../lib/keyspace/keys-needed.ts';
import { settleRestore, type SettledPlan } from '../lib/restore/settle-restore.ts';
import { keysText } from './keys-needed-text.ts';
import { parseRevision } from './option-values.ts';
import { count, counted, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  type AcceptOptions,
  differingValue,
  hashWarnings,
  withAcceptedMismatches,
  withPointOptions,
  type PointOptions,
} from './point-options.ts';
import { withRepositoryOptions, type RepositoryOptions } from './repository-options.ts';
import { fromBackup, fromFile, type RestoreInput } from './restore-input.ts';
import { tellRestoreStep } from './restore-progress.ts';
import type { Session } from './session.ts';
import { snapshotFigures } from './snapshot-figures.ts';

interface RestoreOptions extends RepositoryOptions, PointOptions, ReportOptions, AcceptOptions {
  readonly backup?: string;
  readonly snapshot?: string;
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly name?: string;
  readonly initialCluster?: string;
  readonly initialClusterToken?: string;
  readonly initialAdvertisePeerUrls?: string;
  readonly allMembers?: boolean;
  readonly bump: boolean;
  readonly bumpTo?: string;
  readonly etcdVersion?: string;
  readonly allowMissingTrailer?: boolean;
  readonly allowOlder?: boolean;
  readonly record: boolean;
  readonly joinRestore?: string;
}

export function restoreCommand(session: Session): Command {
  const command = new Command('restore')
    .summary('make data dirs of a new etcd cluster from a backup or a snapshot file')
    .description(
      `Writes the data dir of each member as a new logical cluster, from the newest
restore point of a store (--store), from any revision or time that "points list"
shows (--to-revision, --to-time), from one backup (--backup), or from any
snapshot file (--snapshot). Nothing is overwritten: an existing data dir is
refused. The data is verified while it is written and read back before the
command succeeds; on any failure nothing is left behind.

What is chosen for you: a cluster token that keeps members of the old cluster
out, and a first revision far above everything the old cluster ever served, with
all before it marked as compacted, so that no Kubernetes watcher or cache takes
new data for old (--no-bump leaves revisions as they were).

On one node:       … --store s3://b/p --key-file k --data-dir /var/lib/etcd
Before a mistake:  … --to-time 14:05   or --to-revision, as "history get" told
On each of three:  … --name m1 --initial-cluster \\
  m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380,m3=https://10.0.0.3:2380
All dirs at once:  … --all-members --data-dir /restored   makes /restored/m1, …

Nodes find each other by a record in the store: the same command on the others
within 24 hours joins the restore, and one for a member that was made already
begins another, which members of the first can't join. A rehearsal elsewhere is
best done with --no-record.

No API server may run meanwhile. Afterwards start all members of etcd first,
then the API servers. "restore cluster" and "restore node" see to all of that.`,
    )
    .addOption(
      new Option(
        '--backup <id>',
        'this backup: its id, an unambiguous beginning of it, or "latest" (default: the newest restore point)',
      ).conflicts(['toRevision', 'toTime']),
    )
    .addOption(
      new Option(
        '--snapshot <file>',
        'restore this snapshot file instead of anything from a store',
      ).conflicts(['backup', 'toRevision', 'toTime']),
    )
    .option('--data-dir <dir>', "the member's data dir; must not exist, or be empty (required)")
    .option('--wal-dir <dir>', 'a separate dir for its log')
    .option('--name <name>', "name of the member (etcd's --name)")
    .option('--initial-cluster <list>', 'all members of the new cluster: name=peer-url,…')
    .option('--initial-cluster-token <token>', 'instead of the one that is chosen; the same for all members')
    .option('--initial-advertise-peer-urls <list>', 'peer URLs of this member')
    .option('--all-members', 'make the dirs of all members at once, each in <data-dir>/<name>')
    .option(
      '--bump-to <revision>',
      'the first revision of the new cluster, instead of the one that is chosen',
    )
    .option('--no-bump', 'go on with the old revisions: only for an etcd that no Kubernetes uses')
    .option(
      '--etcd-version <version>',
      'the etcd that will run on it, e.g. 3.6.16: checks, and adapts the file',
    )
    .option('--no-record', 'neither look for nor leave a record of this restore in the store')
    .addOption(
      new Option(
        '--join-restore <number>',
        'make a member again for a restore that is under way; only if what was made for it never ran',
      ).conflicts(['record', 'snapshot']),
    )
    .option('--allow-missing-trailer', 'with --snapshot: accept a database without sha256 trailer')
    .option('--allow-older', 'accept that the store holds only older backups than this machine has seen');
  // What stands behind the name of one of the commands below is its own.
  command.enablePositionalOptions();
  return withReportOptions(withRepositoryOptions(withAcceptedMismatches(withPointOptions(command)))).action(
    async (options: RestoreOptions) => {
      const { terminal } = session;
      // Not by commander, which would want it of the commands below, too.
      if (options.dataDir === undefined)
        throw new GuardianError('usage.data-dir', "required option '--data-dir <dir>' not specified", {
          hint: 'for a whole control plane: "restore cluster" by its agents, "restore node" on each node without',
        });
      const request = restoreRequest(options, options.dataDir);
      const report = reporting(session, options);
      const input =
        options.snapshot === undefined
          ? await fromBackup(session, options, report.progress)
          : await fromFile(
              options.snapshot,
              options.allowMissingTrailer === true,
              terminal.signal,
              report.progress,
            );
      const versionEdits = versionEditsFor(options.etcdVersion, input, report.progress);
      const settled = await settleRestore(
        request,
        input.point,
        input.source.size,
        input.recording,
        terminal.signal,
      );
      tellSettled(report.progress, settled);
      const restored = await restoreSettled(session, input, settled, versionEdits, report.progress);
      for (const warning of warningsOf(input)) report.progress.say(`warning: ${warning}`);
      report.progress.end();
      print(terminal, report.format, restoredValue(input, settled, restored), () =>
        restoredText(input, settled, restored),
      );
    },
  );
}

function warningsOf(input: RestoreInput): string[] {
  const judged = input.judged();
  return judged === undefined ? [] : hashWarnings(judged);
}

async function restoreSettled(
  { terminal }: Session,
  input: RestoreInput,
  { plan, joined }: SettledPlan,
  versionEdits: VersionEdits | undefined,
  progress: ProgressLine,
): Promise<Restored> {
  progress.say(`restoring ${input.source.label} to ${plan.dirs.map((dir) => dir.dataDir).join(', ')}`);
  try {
    return await restoreOffline(input.source, plan, {
      versionEdits,
      signal: terminal.signal,
      onStep: (step) => {
        tellRestoreStep(progress, step);
      },
    });
  } catch (error) {
    // Nothing was made: another run may make these members.
    await joined?.release({ signal: AbortSignal.timeout(RELEASE_MS) }).catch(() => undefined);
    throw error;
  }
}

/** So long a failed restore tries to give its members back; else the next run begins another one. */
const RELEASE_MS = 15_000;

function restoreRequest(options: RestoreOptions, dataDir: string): RestoreRequest {
  return {
    dataDir,
    walDir: options.walDir,
    name: options.name,
    initialCluster: options.initialCluster,
    initialAdvertisePeerUrls: options.initialAdvertisePeerUrls,
    token: options.initialClusterToken,
    allMembers: options.allMembers === true,
    bump:
      options.bumpTo === undefined
        ? options.bump
          ? 'auto'
          : 'none'
        : parseRevision(options.bumpTo, '--bump-to'),
  };
}

function versionEditsFor(
  target: string | undefined,
  input: RestoreInput,
  progress: ProgressLine,
): VersionEdits | undefined {
  if (target === undefined) return undefined;
  const { verdict, reason, edits } = judgeVersions(input.versions, target);
  if (verdict === 'refuse') {
    throw new GuardianError('restore.version', reason, {
      hint: 'leave --etcd-version out to restore the file as it is, for the version that wrote it',
    });
  }
  if (verdict === 'warn') progress.say(`warning: ${reason}`);
  return edits;
}

function tellSettled(progress: ProgressLine, { joined, warnings }: SettledPlan): void {
  for (const warning of warnings) progress.say(`warning: ${warning}`);
  if (joined === undefined) return;
  const { number, begunAt, by, claimed } = joined.record;
  if (!joined.begun) {
    const made = claimed.length === 0 ? 'no member yet' : claimed.join(', ');
    progress.say(
      `part of restore ${number}, begun ${begunAt.toISOString()} by ${by}, which has made ${made}`,
    );
    return;
  }
  const apart = joined.apartFrom;
  progress.say(
    `restore ${number} begins${apart === undefined ? '' : `, apart from restore ${apart.record.number} of ${apart.record.begunAt.toISOString()}: ${apart.why}`}`,
  );
}

function restoredValue(
  input: RestoreInput,
  { plan, joined }: SettledPlan,
  restored: Restored,
): Readonly<Record<string, unknown>> {
  return {
    source: input.source.label,
    restore: joined === undefined ? null : { number: joined.record.number, begunAt: joined.record.begunAt },
    clusterId: restored.clusterId.toString(16),
    token: plan.token,
    revision: restored.revision,
    bumped: plan.bumpTo !== undefined,
    hashKV: restored.hashKV,
    keptHashes: input.judged()?.matched.length ?? 0,
    outvotedHashes: input.judged()?.outvoted.map(differingValue) ?? [],
    disregardedHashes: input.judged()?.disregarded.map(differingValue) ?? [],
    encryptionAtRest: keysNeeded(restored.verdict.valuePrefixes ?? []),
    members: restored.dirs.map((dir) => ({ ...dir, memberId: dir.memberId.toString(16) })),
    snapshot: snapshotFigures(input.source.label, restored.verdict),
  };
}

function restoredText(input: RestoreInput, { plan, joined }: SettledPlan, restored: Restored): string {
  const initialCluster = plan.members
    .flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`))
    .join(',');
  const made = restored.dirs
    .map((dir) => `  ${dir.dataDir}  (member ${dir.name}, id ${dir.memberId.toString(16)})\n`)
    .join('');
  const start = restored.dirs
    .map(
      (dir) =>
        `  etcd --name ${dir.name} --data-dir ${dir.dataDir}${dir.walDir === undefined ? '' : ` --wal-dir ${dir.walDir}`} --initial-advertise-peer-urls ${dir.peerUrls.join(',')} --initial-cluster ${initialCluster} --initial-cluster-token ${plan.token} …\n`,
    )
    .join('');
  const others = othersText(input, plan, joined?.record.claimed ?? [], restored);
  const bump =
    plan.bumpTo === undefined
      ? `Revisions go on from ${count(restored.revision)}.\n`
      : `Revisions start at ${count(restored.revision)}, all before it compacted: watchers and caches will read everything anew.\n`;
  return `restored ${input.source.label}: ${counted(restored.verdict.totalKeys, 'key')} at revision ${count(restored.verdict.currentRevision)}
${made}${bump}Start etcd with its usual settings and:
${start}${others}${keysNote(restored)}Then "etcdctl endpoint hashkv" must answer ${restored.hashKV} on every member, before the first write.
`;
}

/** `claimed`: made by other runs for the same restore, or just being made. */
function othersText(
  input: RestoreInput,
  { members }: RestorePlan,
  claimed: readonly string[],
  { dirs }: Restored,
): string {
  const others = members.map(({ name }) => name).filter((name) => dirs.every((dir) => dir.name !== name));
  const done = others.filter((name) => claimed.includes(name));
  const missing = others.filter((name) => !claimed.includes(name));
  const toldDone = done.length === 0 ? '' : `Made already for this restore: ${done.join(', ')}\n`;
  if (missing.length === 0) return toldDone;
  return `${toldDone}Still to be made, with the same --initial-cluster and ${samePoint(input)}, on their nodes: ${missing.join(', ')}\n`;
}

/** What makes the other members' runs restore the same: what is newest may be something else by then. */
function samePoint({ point, recording }: RestoreInput): string {
  if (recording === undefined) return 'from the same file or backup';
  return recording.revision === undefined
    ? `--backup ${recording.backup.id}`
    : `--to-revision ${point.currentRevision}`;
}

function keysNote({ verdict }: Restored): string {
  const keys = keysText(keysNeeded(verdict.valuePrefixes ?? []));
  return keys === undefined
    ? ''
    : `Values are encrypted at rest: API servers need an EncryptionConfiguration with ${keys}.\n`;
}
