import { Command } from 'commander';
import type { SoundBackup } from '../lib/repository/repository.ts';
import { backupValue, nodeFilesText, proofText } from './backup-figures.ts';
import { keysText } from './keys-needed-text.ts';
import { bytes, count, fields, print, table } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

type ShowOptions = RepositoryOptions & ReportOptions;

export function backupShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('everything the manifest of a backup says')
    .argument('<backup>', 'its id, an unambiguous beginning of it, or "latest"');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (which: string, options: ShowOptions) => {
      const { terminal } = session;
      const report = reporting(session, options);
      const opened = await openRepositoryWith(session, options, report.progress);
      const { repository, location } = opened;
      const cluster = await theCluster(repository, options, terminal);
      await opened.warnIfOlder([cluster]);
      const { backup, passedOver } = await repository.find(cluster, which, {
        signal: terminal.signal,
        includeRemoved: true,
      });
      for (const damaged of passedOver) {
        report.progress.say(`warning: ${damaged.id} is newer but can't be used: ${damaged.problem.message}`);
      }
      const value = {
        ...backupValue(backup, location),
        snapshot: backup.manifest.snapshot,
        base: backup.manifest.base,
        statistics: backup.manifest.statistics ?? null,
        encryptionAtRest: backup.manifest.encryptionAtRest ?? null,
        attachments: backup.manifest.attachments,
      };
      print(terminal, report.format, value, () => showText(backup, location));
    },
  );
}

function showText(backup: SoundBackup, location: string): string {
  const { manifest } = backup;
  const { etcd, snapshot, base } = manifest;
  const recipients = base.recipients.map(({ id, kind }) => `${id} (${kind})`).join(', ');
  const groups = manifest.statistics?.groups.slice(0, 10) ?? [];
  const removal = backup.removal;
  return (
    fields([
      ['backup', backup.id],
      ['cluster', backup.cluster],
      ['timeline', backup.timeline],
      ['stored in', `${location}/${base.name}`],
      [
        'taken',
        `${manifest.createdAt.toISOString()} to ${manifest.completedAt.toISOString()} by ${manifest.tool}`,
      ],
      ['asked for by', manifest.requester?.username],
      [
        'from',
        `${etcd.memberName} (${etcd.endpoint}), etcd ${etcd.serverVersion}, cluster id ${etcd.clusterId.toString(16)}`,
      ],
      [
        'revision',
        `${count(snapshot.revision)}${snapshot.compactRevision < 0n ? '' : `, compacted at ${count(snapshot.compactRevision)}`}`,
      ],
      ['keys', `${count(snapshot.totalKeys)} live, ${count(snapshot.leases)} leases`],
      ['size', `${bytes(snapshot.totalSize)}, stored ${bytes(base.storedSize)}`],
      ['sha256', snapshot.sha256],
      ['status hash', snapshot.hash.toString(16)],
      ['HashKV', `${snapshot.hashKV.hash} at revision ${snapshot.hashKV.revision}`],
      ['proof', proofText(manifest.proof, etcd.memberId)],
      ['readable by', recipients || 'anyone: it is not encrypted'],
      ['needs encryption keys', keysText(manifest.encryptionAtRest ?? [])],
      ['node files', nodeFilesText(backup)],
      ['kept until', manifest.retainUntil?.toISOString()],
      [
        'removed',
        removal &&
          `${removal.removedAt.toISOString()} by ${removal.by}; data goes after ${removal.deleteAfter.toISOString()}`,
      ],
      [
        'labels',
        Object.entries(manifest.labels ?? {})
          .map(([name, value]) => `${name}=${value}`)
          .join(', ') || undefined,
      ],
    ]) +
    backup.warnings.map((warning) => `warning: ${warning.message} [${warning.code}]\n`).join('') +
    (groups.length === 0
      ? ''
      : '\n' +
        table(
          ['BIGGEST', 'KEYS', 'BYTES', 'HISTORY'],
          groups.map((group) => [
            group.name,
            count(group.liveKeys),
            bytes(group.liveBytes),
            bytes(group.historyBytes),
          ]),
        ))
  );
}
