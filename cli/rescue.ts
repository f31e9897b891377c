import { Command } from 'commander';
import path from 'node:path';
import type { WalTail } from '../lib/etcd/datadir/wal-tail.ts';
import { databaseOf, type Rescued, rescueSnapshot } from '../lib/restore/rescue/rescue-snapshot.ts';
import { APPLYING, type RescuedWithLog, rescueWithLog } from '../lib/restore/rescue/rescue-with-log.ts';
import { DamagedDatabaseError } from '../lib/restore/rescue/sound-copy.ts';
import type { Readability } from '../lib/restore/rescue/unreadable-ranges.ts';
import { bytes, count, counted, fields, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { parseDuration } from './option-values.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import { withRepositoryOptions, type RepositoryOptions } from './repository-options.ts';
import { storeRescued } from './rescue-store.ts';
import type { Session } from './session.ts';
import { snapshotFigures } from './snapshot-figures.ts';

interface RescueOptions extends RepositoryOptions, ReportOptions {
  readonly dataDir: string;
  readonly walDir?: string;
  readonly out: string;
  readonly etcd?: string;
  readonly workDir?: string;
  readonly startTimeout: string;
}

type Result = Rescued & { readonly applied?: RescuedWithLog['applied'] };

export function rescueCommand(session: Session): Command {
  const command = new Command('rescue')
    .summary("make a snapshot of a dead member's data dir: what it has may be newer than any backup")
    .description(
      `Reads the database of an etcd that doesn't run any more, and writes it as a
snapshot file that "etcdguardian restore --snapshot" and every etcdutl restore.
The data dir is only read, and may be on a disk that is mounted read-only. A
database that a running etcd has open is refused.

The newest root of the database that leads to sound data is taken; the file
appears when it has been read back and found sound. A damaged database makes no
file: which revisions can't be read is told instead.

etcd writes into its log first, and into the database up to a tenth of a second
later. What was in the log alone is counted. With --etcd, that is brought in, too:
an etcd of the member's own version applies it to a copy. It has no members to
talk to, serves nobody, and ends no lease. Then the file has all that any client
was ever told is written, as far as it reached this member; and possibly the very
last writes, of which nobody was told: as if this member had been elected.

With --store the snapshot becomes a backup there, which restores from anywhere.`,
    )
    .requiredOption('--data-dir <dir>', "the member's data dir, as etcd's --data-dir names it")
    .option('--wal-dir <dir>', 'its log, where etcd has it elsewhere')
    .requiredOption('--out <file>', 'the snapshot file to write; nothing is overwritten')
    .option('--etcd <program>', "bring in what only the log has, by this etcd of the member's version")
    .option(
      '--work-dir <dir>',
      'with --etcd: where the copy lies meanwhile, as large as the database (default: beside --out)',
    )
    .option('--start-timeout <duration>', 'with --etcd: how long it may take without getting further', '10m');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: RescueOptions) => {
    const { terminal } = session;
    const report = reporting(session, options);
    const rescued = await rescue(session, options, report.progress);
    for (const warning of rescued.warnings) report.progress.say(`warning: ${warning}`);
    const { store } = options;
    // A store in the environment is for other commands, too: only one that is named here is written to.
    const stored =
      store === undefined ? undefined : await storeRescued(session, options, rescued, report.progress);
    report.progress.end();
    const value = {
      ...snapshotFigures(rescued.file, rescued.verdict),
      database: databaseOf(options),
      onlyInLog: rescued.behind === undefined ? null : tailValue(rescued.behind),
      logApplied: rescued.applied ?? null,
      warnings: rescued.warnings,
      backup: stored?.id ?? null,
    };
    print(terminal, report.format, value, () => rescuedText(rescued, stored?.id));
  });
}

async function rescue(session: Session, options: RescueOptions, progress: ProgressLine): Promise<Result> {
  const tools = {
    signal: session.terminal.signal,
    now: session.clock(),
    onProgress: (label: string, done: number, total: number): void => {
      progress.update({ label, done, total, unit: label === APPLYING ? 'revisions' : 'bytes' });
    },
  };
  const { etcd, workDir, out } = options;
  const startTimeoutMs = parseDuration(options.startTimeout, '--start-timeout', 1000);
  try {
    if (etcd === undefined) return await rescueSnapshot(options, out, tools);
    const program = etcd.includes('/') ? path.resolve(etcd) : etcd;
    return await rescueWithLog(options, out, { etcd: program, workDir, startTimeoutMs }, tools);
  } catch (error) {
    progress.end();
    if (error instanceof DamagedDatabaseError) session.terminal.stderr.write(readableText(error.readability));
    throw error;
  }
}

/** What a log has that its database doesn't, in words. */
export function tailText(behind: WalTail): string {
  const { writes, committed, entries, torn, broken } = behind;
  const parts =
    writes === 0
      ? ['nothing that changes keys']
      : [
          `up to ${counted(writes, 'revision')} (${count(committed)} of ${count(entries)} entries known as committed)`,
        ];
  if (torn) parts.push('its last record was being written');
  if (broken !== undefined) parts.push(`it can't be read from here on: ${broken}`);
  return parts.join('; ');
}

function tailValue({ clusterId, memberId, ...tail }: WalTail): Readonly<Record<string, unknown>> {
  return { ...tail, clusterId: clusterId.toString(16), memberId: memberId.toString(16) };
}

/** What became of what only the log had. */
function logText({ behind, applied }: Result): string {
  if (behind === undefined) return 'not known';
  if (applied === undefined) {
    const told = tailText(behind);
    return behind.entries === 0 ? told : `${told}; --etcd PROGRAM brings it in`;
  }
  if (applied.entries === 0) return 'nothing: the database had it all';
  const doubtful = behind.entries - behind.committed;
  const unsure = doubtful === 0 ? '' : `, ${count(doubtful)} of them not known as committed in this log`;
  return `brought in by etcd ${applied.etcdVersion}: ${counted(applied.revisions, 'revision')} of ${count(applied.entries)} log entries${unsure}`;
}

function rescuedText(rescued: Result, backup: string | undefined): string {
  const { file, verdict } = rescued;
  const restore =
    backup === undefined
      ? `restore it: etcdguardian restore --snapshot ${file} --data-dir DIR; or store it first: --store s3://BUCKET/PREFIX\n`
      : `restore it: etcdguardian restore --backup ${backup} --store … --data-dir DIR\n`;
  return `${file} is sound.
${fields([
  ['revision', count(verdict.currentRevision)],
  ['keys', count(verdict.totalKeys)],
  ['size', bytes(verdict.totalSize)],
  ['HashKV', String(verdict.hashKV)],
  ['only in its log', logText(rescued)],
  [
    'members',
    verdict.members.map(({ name, peerURLs }) => `${name}=${peerURLs.join(',')}`).join(' ') || undefined,
  ],
  ['etcd', verdict.storageVersion ?? verdict.clusterVersion],
  ['backup', backup],
])}${restore}`;
}

const RANGES_SHOWN = 20;

function readableText({ entries, newestRevision, unreadable, unreadableCount }: Readability): string {
  const lines = unreadable
    .slice(0, RANGES_SHOWN)
    .map(
      ({ from, to, page, why }) =>
        `  can't be read: revisions from ${count(from)} ${to === undefined ? 'on' : `to ${count(to)}`}: page ${page}: ${why}\n`,
    );
  const rest = unreadableCount - lines.length;
  return `of the history ${counted(entries, 'change')} can be read, up to revision ${count(newestRevision)}
${lines.join('')}${rest > 0 ? `  … and ${rest} more\n` : ''}`;
}
