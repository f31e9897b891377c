import { Command } from 'commander';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { age, bytes, count, print, table } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { connectWith, withKubeOptions, type AllNamespaces, type KubeOptions } from './kube-options.ts';
import { listAll, newestFirst } from './list-all.ts';
import { phaseText } from './backup-text.ts';

interface Options extends KubeOptions, AllNamespaces, ReportOptions {}

export function kubeBackupListCommand(session: Session): Command {
  const command = new Command('list')
    .summary('EtcdBackups, the newest first')
    .option('-A, --all-namespaces', 'of all namespaces');
  return withReportOptions(withKubeOptions(command)).action(async (options: Options) => {
    const { terminal, clock } = session;
    const report = reporting(session, options);
    using kube = await connectWith(session, options);
    const namespace = options.allNamespaces === true ? undefined : kube.namespace;
    const backups = newestFirst(
      await listAll<EtcdBackup>(kube.client, ETCD_BACKUP_RESOURCE, { namespace, signal: terminal.signal }),
    );
    print(terminal, report.format, backups, () => {
      if (backups.length === 0) return `no EtcdBackups in ${namespace ?? 'any namespace'}\n`;
      return table(
        HEADER,
        backups.map((backup) => rowOf(backup, clock())),
      );
    });
  });
}

const HEADER = ['NAMESPACE', 'NAME', 'AGE', 'PHASE', 'WHAT', 'REVISION', 'SIZE', 'STORED', 'PROOF'];

function rowOf(backup: EtcdBackup, now: Date): string[] {
  const { metadata, spec, status = {} } = backup;
  const { creationTimestamp } = metadata;
  const selects = spec.namespaceSelector !== undefined && Object.keys(spec.namespaceSelector).length > 0;
  const what = spec.schedule ?? status.effectiveMode ?? spec.backupMode;
  return [
    metadata.namespace ?? '',
    metadata.name,
    creationTimestamp === undefined ? '' : age(new Date(creationTimestamp), now),
    phaseText(backup),
    selects ? `${what}, namespaces` : what,
    status.etcdRevision === undefined ? '' : count(status.etcdRevision),
    status.snapshotSize === undefined ? '' : bytes(status.snapshotSize),
    status.storedSize === undefined ? '' : bytes(status.storedSize),
    status.validationResult?.proof ?? '',
  ];
}
