import { join } from 'node:path';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { runProgram } from '../harness/run-program.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { requireTool } from '../harness/tools.ts';

/** Where the chart is installed, and where an administrator's resources lie. */
export const SYSTEM_NAMESPACE = 'etcd-guardian-system';

/** `helm install` of the chart in the working tree, with the image of the tests; doesn't wait for anything. */
export async function installChart(cluster: Cluster, values: object): Promise<void> {
  await using home = await temporaryFolder();
  const chart = join(import.meta.dirname, '..', '..', 'charts', 'etcdguardian');
  const file = await cluster.file('values.json', JSON.stringify(values));
  await runProgram(
    requireTool('helm', '3.22.0'),
    [
      'install',
      'etcdguardian',
      chart,
      `--namespace=${SYSTEM_NAMESPACE}`,
      '--create-namespace',
      `--values=${file}`,
    ],
    { env: { PATH: process.env.PATH, HOME: home.path, KUBECONFIG: cluster.kubeconfig } },
  );
}
