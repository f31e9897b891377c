import { Command } from 'commander';
import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GuardianError } from '../lib/guardian-error.ts';
import { ENCRYPTED_VALUES, keysNeeded } from '../lib/keyspace/keys-needed.ts';
import type { RestorePoint } from '../lib/repository/points.ts';
import { writeRestorePoint, type WrittenPoint } from '../lib/repository/write-restore-point.ts';
import { keysText } from './keys-needed-text.ts';
import { parseRevision } from './option-values.ts';
import { bytes, count, counted, print } from './output.ts';
import {
  acceptedMismatches,
  type AcceptOptions,
  differingValue,
  hashWarnings,
  pointNamed,
  pointTransfer,
  withAcceptedMismatches,
} from './point-options.ts';
import { instant } from './point-spans-text.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface ExportOptions extends RepositoryOptions, ReportOptions, AcceptOptions {
  readonly out: string;
  readonly timeline?: string;
  readonly compact?: string;
  readonly clearAlarms?: boolean;
}

export function pointsExportCommand(session: Session): Command {
  const command = new Command('export')
    .summary('write a restore point into a snapshot file that any etcdutl restores')
    .description(
      `Makes a standard snapshot file of the cluster as it was at a revision or a time:
the base is fetched and verified, what was captured behind it is merged into it,
and the outcome is verified whole, and compared with hashes that members had
kept. The file is not encrypted (mode 0600). It appears when it is whole;
nothing is overwritten.`,
    )
    .argument('<point>', 'a revision, a time (2026-11-22T14:05:00Z, 14:05, -15m), or "latest"')
    .requiredOption('--out <file>', 'the snapshot file to write')
    .option('--timeline <id>', 'of this timeline, not the newest that has it; see "points list --all"')
    .option('--compact <revision>', 'leave out history below this revision, as a compaction there would')
    .option('--clear-alarms', 'leave out alarms of the cluster, e.g. NOSPACE');
  return withReportOptions(withRepositoryOptions(withAcceptedMismatches(command))).action(
    async (named: string, options: ExportOptions) => {
      const { terminal, clock } = session;
      const { signal } = terminal;
      const report = reporting(session, options);
      const query = pointNamed(named, clock, 'the point');
      const compactAt =
        options.compact === undefined ? undefined : parseRevision(options.compact, '--compact');
      const accepted = acceptedMismatches(options);
      await refuseExisting(options.out);
      const opened = await openRepositoryWith(session, options, report.progress);
      const { repository } = opened;
      const cluster = await theCluster(repository, options, terminal);
      const point = await repository.points.find(cluster, query, { timeline: options.timeline, signal });
      report.progress.say(
        `revision ${count(point.revision)}, as seen at ${point.seenAt.toISOString()}: backup ${point.base.id} and ${counted(point.segments.length, 'segment')}`,
      );
      const written = await writeRestorePoint({ repository, log: repository.segments }, point, options.out, {
        ...{ compactAt, clearAlarms: options.clearAlarms === true, valuePrefixes: ENCRYPTED_VALUES, signal },
        acceptedMismatches: accepted,
        onProgress: (progress) => {
          report.progress.update(pointTransfer(progress));
        },
      });
      for (const warning of hashWarnings(written)) report.progress.say(`warning: ${warning}`);
      report.progress.end();
      print(terminal, report.format, exportValue(options.out, point, written), () =>
        exportText(options.out, point, written),
      );
    },
  );
}

async function refuseExisting(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      await requireFolder(dirname(file));
      return;
    }
    throw cantWrite(file, error);
  }
  throw new GuardianError('points.exists', `${file} is there already`, {
    hint: 'name another file; nothing is overwritten',
  });
}

async function requireFolder(folder: string): Promise<void> {
  try {
    await lstat(folder);
  } catch (error) {
    throw cantWrite(folder, error);
  }
}

function cantWrite(path: string, cause: unknown): GuardianError {
  return new GuardianError('usage.out', `--out: nothing can be written to ${path}`, {
    hint: 'name a file in a folder that exists',
    cause,
  });
}

function exportValue(
  file: string,
  { revision, seenAt, timeline, base, segments }: RestorePoint,
  { verdict, matched, outvoted, disregarded }: WrittenPoint,
): Readonly<Record<string, unknown>> {
  return {
    ...{ file, revision, seenAt, timeline, base: base.id, segments: segments.length },
    ...{ totalKeys: verdict.totalKeys, totalSize: verdict.totalSize, sha256: verdict.sha256 },
    compactRevision: verdict.compactRevision,
    hashKV: { hash: verdict.hashKV, revision: verdict.currentRevision },
    keptHashes: matched.length,
    outvotedHashes: outvoted.map(differingValue),
    disregardedHashes: disregarded.map(differingValue),
    encryptionAtRest: keysNeeded(verdict.valuePrefixes ?? []),
  };
}

function exportText(file: string, point: RestorePoint, { verdict, matched }: WrittenPoint): string {
  const keys = keysText(keysNeeded(verdict.valuePrefixes ?? []));
  const needs = keys === undefined ? '' : `  values are encrypted at rest with ${keys}\n`;
  const proven =
    matched.length === 0
      ? 'no member had kept a hash of this history'
      : `equal to ${count(matched.length)} hashes that members had kept`;
  return `${file}: revision ${count(point.revision)} of ${instant(point.seenAt)}, ${counted(verdict.totalKeys, 'key')}, ${bytes(verdict.totalSize)}, sound
  HashKV ${verdict.hashKV} at revision ${count(verdict.currentRevision)}; ${proven}
${needs}`;
}
