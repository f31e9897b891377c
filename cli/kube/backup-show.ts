import { Command } from 'commander';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { backupText } from './backup-text.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';

interface Options extends KubeOptions, ReportOptions {}

export function kubeBackupShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('what is known of one EtcdBackup: result, proof, place')
    .argument('<name>', 'the name of the EtcdBackup');
  return withReportOptions(withKubeOptions(command)).action(async (name: string, options: Options) => {
    const { terminal, clock } = session;
    using kube = await connectWith(session, options);
    const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: kube.namespace, name };
    const backup = await kube.client.get<EtcdBackup>(reference, { signal: terminal.signal });
    print(terminal, reporting(session, options).format, backup, () => backupText(backup, clock()));
  });
}
