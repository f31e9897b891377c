import { Command } from 'commander';
import type { SnapshotVerdict } from '../lib/etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import { EXIT_CODES } from './exit-code.ts';
import { bytes, count, fields, print } from './output.ts';
import { withReportOptions, reporting, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';
import { snapshotFigures, problemLines } from './snapshot-figures.ts';

interface VerifyOptions extends ReportOptions {
  readonly allowMissingTrailer?: boolean;
}

export function snapshotVerifyCommand(session: Session): Command {
  const command = new Command('verify')
    .summary('check every byte, page and record of a snapshot file')
    .description(
      `Reads FILE once, from front to back, and checks all of it: the sha256 trailer,
every page of the database, every revision and lease. Prints the figures that
etcdutl prints (status hash, revision, keys, size, HashKV) without needing
etcdutl, in memory that does not grow with the file. The file is never written
to.

Exit status 0 only for a sound file; 3 with the list of problems otherwise.`,
    )
    .argument('<file>', 'a snapshot of etcd 3.4 or later, or a member/snap/db of a stopped member')
    .option(
      '--allow-missing-trailer',
      'accept a database without sha256 trailer, e.g. a copied member/snap/db',
    );
  return withReportOptions(command).action(async (file: string, options: VerifyOptions) => {
    const report = reporting(session, options);
    const verdict = await verifySnapshotFile(file, {
      trailer: options.allowMissingTrailer === true ? 'optional' : 'required',
      signal: session.terminal.signal,
      onProgress: (done, total) => {
        report.progress.update({ label: 'verifying', done, total });
      },
    });
    report.progress.end();
    print(session.terminal, report.format, snapshotFigures(file, verdict), () => verdictText(file, verdict));
    if (!verdict.sound) session.exitCode = EXIT_CODES.unsound;
  });
}

function verdictText(file: string, verdict: SnapshotVerdict): string {
  const headline = verdict.sound
    ? `${file} is sound.\n`
    : `${file} is NOT sound: ${count(verdict.problemCount)} problem${verdict.problemCount === 1 ? '' : 's'}.\n`;
  return (
    headline +
    problemLines(verdict) +
    fields([
      ['revision', count(verdict.revision)],
      ['compacted at', verdict.compactRevision < 0n ? 'never' : count(verdict.compactRevision)],
      ['keys', `${count(verdict.totalKeys)} live, ${count(verdict.totalEntries)} entries in all buckets`],
      [
        'size',
        `${bytes(verdict.totalSize)} (${verdict.totalSize} bytes, ${count(verdict.freePages)} free pages)`,
      ],
      ['status hash', verdict.hash.toString(16)],
      ['HashKV', `${verdict.hashKV} at revision ${verdict.currentRevision}`],
      ['sha256', `${verdict.sha256} (trailer ${verdict.trailer})`],
      [
        'leases',
        `${count(verdict.leases)}${verdict.orphanLeases > 0 ? `, ${verdict.orphanLeases} missing` : ''}`,
      ],
      ['etcd', verdict.storageVersion ?? verdict.clusterVersion],
      [
        'alarms',
        verdict.alarms.map(({ memberId, alarm }) => `${alarm} of ${memberId}`).join(', ') || undefined,
      ],
    ])
  );
}
