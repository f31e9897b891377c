import { Command } from 'commander';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { age, count, print, table } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { connectWith, withKubeOptions, type AllNamespaces, type KubeOptions } from './kube-options.ts';
import { listAll, newestFirst } from './list-all.ts';
import { restorePhase } from './restore-text.ts';

interface Options extends KubeOptions, AllNamespaces, ReportOptions {}

export function kubeRestoreListCommand(session: Session): Command {
  const command = new Command('list')
    .summary('EtcdRestores, the newest first')
    .option('-A, --all-namespaces', 'of all namespaces');
  return withReportOptions(withKubeOptions(command)).action(async (options: Options) => {
    const { terminal, clock } = session;
    const report = reporting(session, options);
    using kube = await connectWith(session, options);
    const namespace = options.allNamespaces === true ? undefined : kube.namespace;
    const restores = newestFirst(
      await listAll<EtcdRestore>(kube.client, ETCD_RESTORE_RESOURCE, { namespace, signal: terminal.signal }),
    );
    print(terminal, report.format, restores, () => {
      if (restores.length === 0) return `no EtcdRestores in ${namespace ?? 'any namespace'}\n`;
      return table(
        HEADER,
        restores.map((restore) => rowOf(restore, clock())),
      );
    });
  });
}

const HEADER = ['NAMESPACE', 'NAME', 'AGE', 'PHASE', 'WHAT', 'FROM', 'REVISION', 'RESTORED'];

function rowOf(restore: EtcdRestore, now: Date): string[] {
  const { metadata, spec, status = {} } = restore;
  const { creationTimestamp } = metadata;
  const filter = spec.namespaceFilter ?? [];
  const what =
    filter.length > 0 ? filter.join(', ') : status.objects === undefined ? 'cluster' : 'namespaces';
  return [
    metadata.namespace ?? '',
    metadata.name,
    creationTimestamp === undefined ? '' : age(new Date(creationTimestamp), now),
    restorePhase(restore),
    spec.dryRun ? `${what}, dry run` : what,
    status.backupName ?? spec.backupName ?? 'a place',
    status.restoredRevision === undefined ? '' : count(status.restoredRevision),
    status.restoredKeys === undefined ? '' : count(status.restoredKeys),
  ];
}
