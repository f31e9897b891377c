import { Command } from 'commander';
import type { BackupEntry } from '../lib/repository/repository.ts';
import { storedNodeFiles } from '../lib/restore/attachments/stored-node-files.ts';
import { entryValue, proofWord } from './backup-figures.ts';
import { EXIT_CODES, exitCodeOf } from './exit-code.ts';
import { age, bytes, count, print, table } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import { openRepositoryWith, withRepositoryOptions, type RepositoryOptions } from './repository-options.ts';
import type { Session } from './session.ts';

interface BackupListOptions extends RepositoryOptions, ReportOptions {
  readonly all?: boolean;
}

export function backupListCommand(session: Session): Command {
  const command = new Command('list')
    .summary('what backups there are, newest first')
    .description(
      'Lists the backups of a cluster, or of every cluster in the store. What is damaged, unsigned or out of its place is listed with the reason, never left out. When nothing in it can be used, the exit status is that of using the newest one.',
    )
    .option('-a, --all', 'also the removed ones that can still be brought back');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: BackupListOptions) => {
    const { terminal } = session;
    const report = reporting(session, options);
    const opened = await openRepositoryWith(session, options, report.progress);
    const { repository, location } = opened;
    const call = { signal: terminal.signal, includeRemoved: options.all === true };
    const clusters =
      options.cluster === undefined
        ? await repository.listClusters({ signal: terminal.signal })
        : [options.cluster];
    // Also of clusters that the store doesn't show any more.
    await opened.warnIfOlder(options.cluster === undefined ? undefined : clusters);
    const entries: BackupEntry[] = [];
    for (const cluster of clusters) entries.push(...(await repository.listBackups(cluster, call)));
    const others = entries.length > 0 ? [] : await repository.listClusters({ signal: terminal.signal });
    print(
      terminal,
      report.format,
      entries.map((entry) => entryValue(entry, location)),
      () =>
        entries.length === 0
          ? noneText(location, options.cluster, others)
          : listText(entries, session.clock()),
    );
    session.exitCode = listStatus(entries);
  });
}

/** A list in which nothing can be used is no success: it ends as using the newest one would. */
function listStatus(entries: readonly BackupEntry[]): number {
  const problems = entries.flatMap((entry) => (entry.state === 'damaged' ? [entry.problem] : []));
  const [newest] = problems;
  return newest === undefined || problems.length < entries.length ? EXIT_CODES.ok : exitCodeOf(newest);
}

/** `clusters`: those that the store has backups of. */
function noneText(location: string, asked: string | undefined, clusters: readonly string[]): string {
  if (asked === undefined || clusters.length === 0) return `no backups in ${location}\n`;
  return `no backups of cluster ${asked} in ${location}; it holds those of: ${clusters.join(', ')}\n`;
}

function listText(entries: readonly BackupEntry[], now: Date): string {
  const rows = entries.map((entry) => row(entry, now));
  const damaged = entries.flatMap((entry) =>
    entry.state === 'damaged' ? [`  ${entry.id}: ${entry.problem.message} [${entry.problem.code}]\n`] : [],
  );
  const hints = new Set(entries.flatMap((entry) => (entry.state === 'damaged' ? [entry.problem.hint] : [])));
  const ways = [...hints].flatMap((hint) => (hint === undefined ? [] : [`  what to do: ${hint}\n`]));
  const notes = damaged.length === 0 ? '' : `\nNot usable:\n${[...damaged, ...ways].join('')}`;
  return table(['ID', 'CLUSTER', 'AGE', 'REVISION', 'KEYS', 'SIZE', 'STORED', 'STATE'], rows) + notes;
}

function row(entry: BackupEntry, now: Date): string[] {
  const cluster = entry.cluster.length > 20 ? `${entry.cluster.slice(0, 17)}…` : entry.cluster;
  if (entry.state === 'damaged')
    return [entry.id, cluster, '', '', '', '', '', unusableWord(entry.problem.code)];
  const { manifest } = entry;
  const state = [
    manifest.base.recipients.length > 0 ? 'encrypted' : 'plain',
    proofWord(manifest.proof),
    ...(storedNodeFiles(entry).length === 0 ? [] : ['node files']),
    ...(entry.removal === undefined ? [] : ['removed']),
    ...(entry.warnings.length === 0 ? [] : ['see show']),
  ];
  return [
    entry.id,
    cluster,
    age(manifest.completedAt, now),
    count(manifest.snapshot.revision),
    count(manifest.snapshot.totalKeys),
    bytes(manifest.snapshot.totalSize),
    bytes(manifest.base.storedSize),
    state.join(', '),
  ];
}

/** Whose signature nobody vouches for may be as sound as it was: with the wrong keys, all of them look so. */
function unusableWord(code: string): string {
  return code === 'signature.untrusted' || code === 'signature.missing' ? 'NOT TRUSTED' : 'DAMAGED';
}
