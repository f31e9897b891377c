import { Command } from 'commander';
import { print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { restoreText } from './restore-text.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';
import { waitForRestore } from './wait-for-restore.ts';
import { waitingSignal, withWaitOptions, type WaitOptions } from './wait-options.ts';

interface Options extends KubeOptions, WaitOptions, ReportOptions {}

export function kubeRestoreWaitCommand(session: Session): Command {
  const command = new Command('wait')
    .summary('wait until an EtcdRestore has ended, with progress')
    .description('Ends with 0 when it completed, else with a status that says why not.')
    .argument('<name>', 'the name of the EtcdRestore');
  return withReportOptions(withKubeOptions(withWaitOptions(command))).action(
    async (name: string, options: Options) => {
      const { terminal, clock } = session;
      const report = reporting(session, options);
      using kube = await connectWith(session, options);
      const { client, namespace } = kube;
      const signal = waitingSignal(terminal.signal, options, `EtcdRestore ${namespace}/${name}`);
      const { progress } = report;
      const restore = await waitForRestore({ client, namespace, name, signal, progress });
      print(terminal, report.format, restore, () => restoreText(restore, clock()));
    },
  );
}
