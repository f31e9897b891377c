import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { runProgram } from '../harness/run-program.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { requireTool } from '../harness/tools.ts';
import { GUARDIAN_IMAGE } from './guardian-archive.ts';

/** Where the chart is installed, and where an administrator's resources lie. */
export const SYSTEM_NAMESPACE = 'etcd-guardian-system';

const RELEASE = ['etcdguardian', `--namespace=${SYSTEM_NAMESPACE}`];
const CHART = join(import.meta.dirname, '..', '..', 'charts', 'etcdguardian');
const [REPOSITORY = '', TAG = ''] = GUARDIAN_IMAGE.split(/:(?=[^/]*$)/);

/** `helm install` of the chart in the working tree, with the image of the tests; doesn't wait for anything. */
export async function installChart(cluster: Cluster, values: object = {}): Promise<void> {
  await helm(cluster, [
    'install',
    ...RELEASE,
    CHART,
    '--create-namespace',
    ...(await given(cluster, values)),
  ]);
}

/** Likewise, over a release that is there. */
export async function upgradeChart(cluster: Cluster, values: object): Promise<void> {
  await helm(cluster, ['upgrade', ...RELEASE, CHART, ...(await given(cluster, values))]);
}

/** Resolves when everything that the release made has been deleted, or let go of. */
export async function uninstallChart(cluster: Cluster): Promise<void> {
  await helm(cluster, ['uninstall', ...RELEASE, '--wait', '--cascade=foreground']);
}

/** `helm test`: resolves to what it said. */
export async function testChart(cluster: Cluster): Promise<string> {
  return await helm(cluster, ['test', ...RELEASE, '--timeout=120s']);
}

/** The objects of the chart's hooks, which are there only while they run. */
export async function chartHooks(cluster: Cluster): Promise<unknown[]> {
  const text = await helm(cluster, ['get', 'hooks', ...RELEASE]);
  return parseAllDocuments(text).map((document) => document.toJS() as unknown);
}

/** Resolves when all pods are ready that the release has now. */
export async function rolledOut(cluster: Cluster): Promise<void> {
  const inSystem = [`--namespace=${SYSTEM_NAMESPACE}`, '--timeout=180s'];
  const names = await cluster.kubectl(
    'get',
    'deployments,daemonsets',
    ...inSystem.slice(0, 1),
    '--output=name',
  );
  await Promise.all(
    names
      .trim()
      .split('\n')
      .map((name) => cluster.kubectl('rollout', 'status', ...inSystem, name)),
  );
}

async function given(cluster: Cluster, values: object): Promise<string[]> {
  const all = {
    image: { repository: REPOSITORY, tag: TAG, pullPolicy: 'Never' },
    allowedEndpoints: [cluster.hostAddress],
    ...values,
  };
  return [`--values=${await cluster.file('values.json', JSON.stringify(all))}`];
}

async function helm(cluster: Cluster, args: readonly string[]): Promise<string> {
  await using home = await temporaryFolder();
  const env = { PATH: process.env.PATH, HOME: home.path, KUBECONFIG: cluster.kubeconfig };
  return await runProgram(requireTool('helm', '3.22.0'), args, { env });
}
