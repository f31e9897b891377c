import { Command } from 'commander';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { restoreText } from './restore-text.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';

interface Options extends KubeOptions, ReportOptions {}

export function kubeRestoreShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('what is known of one EtcdRestore: result, objects, members')
    .argument('<name>', 'the name of the EtcdRestore');
  return withReportOptions(withKubeOptions(command)).action(async (name: string, options: Options) => {
    const { terminal, clock } = session;
    using kube = await connectWith(session, options);
    const reference = { resource: ETCD_RESTORE_RESOURCE, namespace: kube.namespace, name };
    const restore = await kube.client.get<EtcdRestore>(reference, { signal: terminal.signal });
    print(terminal, reporting(session, options).format, restore, () => restoreText(restore, clock()));
  });
}
