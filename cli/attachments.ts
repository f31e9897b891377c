import { Command } from 'commander';
import type { LaidOut } from '../lib/restore/attachments/lay-out.ts';
import { restoreNodeFiles } from '../lib/restore/attachments/restore-node-files.ts';
import { readStoredNodeFiles, storedNodeFiles } from '../lib/restore/attachments/stored-node-files.ts';
import type { NodeFile, NodeFiles } from '../lib/repository/node-files/node-files.ts';
import type { SoundBackup } from '../lib/repository/repository.ts';
import { bytes, counted, print, table } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  type OpenedRepository,
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface ShowOptions extends RepositoryOptions, ReportOptions {
  readonly node?: string;
}

interface ExtractOptions extends ShowOptions {
  readonly root: string;
  readonly overwrite?: boolean;
  readonly dryRun?: boolean;
  readonly manifests?: boolean;
  readonly onlyManifests?: boolean;
}

const BACKUP = 'its id, an unambiguous beginning of it, or "latest"';

export function attachmentsShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('which files of a node a backup took along')
    .description(
      `Lists the files of a node that a backup holds beside etcd's data: certificates,
keys, EncryptionConfiguration, static manifests. They are always encrypted;
their names, too, are read with the key.`,
    )
    .argument('[backup]', BACKUP, 'latest')
    .option('--node <name>', 'of this node, where the backup has files of several');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: ShowOptions) => {
      const report = reporting(session, options);
      const { opened, backup } = await find(session, options, which, report.progress);
      const { signal } = session.terminal;
      const files = await readStoredNodeFiles(opened.repository, backup, options.node, { signal });
      print(session.terminal, report.format, filesValue(backup, files), () => showText(backup, files));
    },
  );
}

export function attachmentsExtractCommand(session: Session): Command {
  const command = new Command('extract')
    .summary("put a node's files in their places on new hardware")
    .description(
      `Puts the files of a node that a backup took along below --root, with their
modes, owners and times: all of them, or on any error none. What is there and
differs is named and left alone unless --overwrite says otherwise; then it is
kept aside.

A running kubelet starts static pods as soon as their manifests appear: with
--no-manifests they stay away until etcd's data is in its place.`,
    )
    .argument('[backup]', BACKUP, 'latest')
    .requiredOption('--root <folder>', '/ on the new node, or where its disk is mounted')
    .option('--node <name>', 'of this node, where the backup has files of several')
    .option('--overwrite', 'replace files that differ, keeping what was there aside')
    .option('--no-manifests', 'all but the static manifests')
    .option('--only-manifests', 'nothing but the static manifests')
    .option('--dry-run', 'only tell what would be done');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: ExtractOptions) => {
      const report = reporting(session, options);
      const { opened, backup } = await find(session, options, which, report.progress);
      const { repository } = opened;
      const { node, root, overwrite = false, dryRun = false } = options;
      const manifests =
        options.onlyManifests === true ? 'only' : options.manifests === false ? 'without' : undefined;
      const { files, ...laidOut } = await restoreNodeFiles(
        { backup, node, root, overwrite, dryRun, manifests },
        { repository, clock: session.clock, signal: session.terminal.signal },
      );
      const value = { backup: backup.id, node: files.node, root, dryRun, ...laidOut, leftOut: files.leftOut };
      print(session.terminal, report.format, value, () => extractText(files, laidOut, root, dryRun));
    },
  );
}

async function find(
  session: Session,
  options: RepositoryOptions,
  which: string,
  progress: ProgressLine,
): Promise<{ opened: OpenedRepository; backup: SoundBackup }> {
  const { terminal } = session;
  const opened = await openRepositoryWith(session, options, progress);
  const cluster = await theCluster(opened.repository, options, terminal);
  await opened.warnIfOlder([cluster]);
  const { backup, passedOver } = await opened.repository.find(cluster, which, { signal: terminal.signal });
  for (const damaged of passedOver)
    progress.say(`warning: ${damaged.id} is newer but can't be used: ${damaged.problem.message}`);
  return { opened, backup };
}

function filesValue(backup: SoundBackup, { files, ...index }: NodeFiles): object {
  const nodes = storedNodeFiles(backup).map(({ node }) => node);
  return { backup: backup.id, nodes, ...index, files: files.map(fileValue) };
}

/** Without its content. */
function fileValue(file: NodeFile): object {
  const { path, kind, uid, gid, modifiedAt } = file;
  const facts = { path, kind, mode: file.mode.toString(8).padStart(4, '0'), uid, gid, modifiedAt };
  if (file.kind === 'file') return { ...facts, size: file.bytes.length };
  return file.kind === 'link' ? { ...facts, target: file.target } : facts;
}

function showText(backup: SoundBackup, files: NodeFiles): string {
  const rows = files.files.map((file) => [
    file.mode.toString(8).padStart(4, '0'),
    `${file.uid}:${file.gid}`,
    file.kind === 'file' ? bytes(file.bytes.length) : file.kind,
    file.kind === 'link' ? `${file.path} -> ${file.target}` : file.path,
  ]);
  return (
    `files of node ${files.node} in backup ${backup.id}, collected ${files.collectedAt.toISOString()} by ${files.tool}\n\n` +
    table(['MODE', 'OWNER', 'SIZE', 'PATH'], rows) +
    leftOutText(files)
  );
}

function extractText(files: NodeFiles, laidOut: LaidOut, root: string, dryRun: boolean): string {
  const { added, replaced, same, keptAside, owners } = laidOut;
  const would = dryRun ? 'would be ' : '';
  return (
    `files of node ${files.node} below ${root}: ${added.length} ${would}added, ${replaced.length} ${would}replaced, ${same.length} there already\n` +
    replaced.map(({ path, how }) => `  ${would}replaced: ${path} (${how})\n`).join('') +
    (keptAside === undefined ? '' : `what was there is kept in ${keptAside}\n`) +
    (owners ? '' : 'warning: only root can give files to their owners; they are yours now\n') +
    leftOutText(files)
  );
}

function leftOutText({ leftOut }: NodeFiles): string {
  if (leftOut.length === 0) return '';
  const lines = leftOut.map(({ path, reason }) => `  ${path}: ${reason}\n`);
  return `\n${counted(leftOut.length, 'file')} could not be taken along:\n${lines.join('')}`;
}
