import { Command } from 'commander';
import type { GroupStatistics, SnapshotVerdict } from '../lib/etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import { keyGrouping } from '../lib/keyspace/key-grouping.ts';
import { ENCRYPTED_VALUES, keysNeeded } from '../lib/keyspace/keys-needed.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount } from './option-values.ts';
import { bytes, count, fields, print, table } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';
import { countedKeysText } from './keys-needed-text.ts';
import { problemLines, snapshotFigures } from './snapshot-figures.ts';

interface InspectOptions extends ReportOptions {
  readonly top: string;
}

export function snapshotInspectCommand(session: Session): Command {
  const command = new Command('inspect')
    .summary('what is in a snapshot file: the biggest resources and namespaces')
    .description(
      `Shows what fills a database: keys, bytes and history by resource and by
namespace, the members and versions it came from, its alarms. Damage is told,
too, and what is still readable is shown: all figures come from one pass over
FILE.`,
    )
    .argument('<file>', 'a snapshot file, or a member/snap/db')
    .option('--top <n>', 'how many resources and namespaces to list', '15');
  return withReportOptions(command).action(async (file: string, options: InspectOptions) => {
    const top = parseCount(options.top, '--top');
    const report = reporting(session, options);
    const verdict = await verifySnapshotFile(file, {
      trailer: 'optional',
      grouping: keyGrouping(),
      valuePrefixes: ENCRYPTED_VALUES,
      signal: session.terminal.signal,
      onProgress: (done, total) => {
        report.progress.update({ label: 'reading', done, total });
      },
    });
    report.progress.end();
    const resources = summed(verdict.statistics ?? [], resourceOf);
    const namespaces = summed(verdict.statistics ?? [], namespaceOf);
    const value = {
      ...snapshotFigures(file, verdict),
      encryptionAtRest: keysNeeded(verdict.valuePrefixes ?? []),
      resources: resources.slice(0, top),
      namespaces: namespaces.slice(0, top),
    };
    print(
      session.terminal,
      report.format,
      value,
      () =>
        overview(file, verdict) +
        `\nBiggest resources\n${groupTable('RESOURCE', resources, top)}` +
        `\nBiggest namespaces\n${groupTable('NAMESPACE', namespaces, top)}`,
    );
    if (!verdict.sound) session.exitCode = EXIT_CODES.unsound;
  });
}

function overview(file: string, verdict: SnapshotVerdict): string {
  const members = verdict.members.map(
    (member) => `${member.name || '(unnamed)'} ${member.peerURLs.join(',')}`,
  );
  return (
    problemLines(verdict) +
    fields([
      ['file', `${file}${verdict.sound ? '' : '  — NOT SOUND'}`],
      ['etcd', verdict.storageVersion ?? verdict.clusterVersion],
      ['revision', count(verdict.currentRevision)],
      ['compacted at', verdict.compactRevision < 0n ? 'never' : count(verdict.compactRevision)],
      ['keys', `${count(verdict.totalKeys)} live`],
      [
        'size',
        `${bytes(verdict.totalSize)}, ${bytes(verdict.freePages * verdict.pageSize)} of it free pages`,
      ],
      ['leases', count(verdict.leases)],
      ['members', members.join('; ') || undefined],
      [
        'alarms',
        verdict.alarms.map(({ memberId, alarm }) => `${alarm} of ${memberId}`).join(', ') || undefined,
      ],
      ['auth', verdict.authEnabled ? 'enabled' : undefined],
      ['needs encryption keys', countedKeysText(keysNeeded(verdict.valuePrefixes ?? []))],
    ])
  );
}

/** Statistics of one resource or one namespace, all its groups taken together. */
type Sum = GroupStatistics;

function summed(groups: readonly GroupStatistics[], nameOf: (group: string) => string): Sum[] {
  const sums = new Map<string, Sum>();
  for (const group of groups) {
    const name = nameOf(group.name);
    const sum = sums.get(name);
    sums.set(name, {
      name,
      liveKeys: (sum?.liveKeys ?? 0) + group.liveKeys,
      liveBytes: (sum?.liveBytes ?? 0) + group.liveBytes,
      historyEntries: (sum?.historyEntries ?? 0) + group.historyEntries,
      historyBytes: (sum?.historyBytes ?? 0) + group.historyBytes,
    });
  }
  return [...sums.values()].sort((a, b) => b.liveBytes + b.historyBytes - (a.liveBytes + a.historyBytes));
}

/** Group names are `resource` or `resource namespace`. */
function resourceOf(group: string): string {
  return group.split(' ', 1)[0] ?? group;
}

function namespaceOf(group: string): string {
  return group.split(' ')[1] ?? '(cluster-wide)';
}

function groupTable(title: string, sums: readonly Sum[], top: number): string {
  const rows = sums
    .slice(0, top)
    .map((sum) => [
      sum.name,
      count(sum.liveKeys),
      bytes(sum.liveBytes),
      count(sum.historyEntries),
      bytes(sum.historyBytes),
    ]);
  return table([title, 'KEYS', 'BYTES', 'HISTORY', 'HISTORY BYTES'], rows);
}
