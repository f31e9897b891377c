import { randomUUID } from 'node:crypto';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { GUARDIAN_IMAGE } from './guardian-archive.ts';

/** A container of the product's image, as little trusted as it can be. */
export function guardianContainer(run: { args?: readonly string[]; script?: string }): object {
  return {
    ...{ name: 'main', image: GUARDIAN_IMAGE, imagePullPolicy: 'Never' },
    // The image has no shell, but it has Node.
    ...(run.script === undefined ? {} : { command: ['node', '--eval', run.script] }),
    ...(run.args === undefined ? {} : { args: run.args }),
    securityContext: {
      ...{ runAsNonRoot: true, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
      ...{ capabilities: { drop: ['ALL'] }, seccompProfile: { type: 'RuntimeDefault' } },
    },
  };
}

/** Runs a pod to its end in namespace default, and resolves to what it wrote. */
export async function runPod(
  cluster: Cluster,
  name: string,
  run: { args?: readonly string[]; script?: string },
): Promise<string> {
  await applyObjects(cluster, {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: { restartPolicy: 'Never', containers: [guardianContainer(run)] },
  });
  const ended = 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}';
  await cluster.kubectl('wait', '--timeout=120s', `--for=${ended}`, `pod/${name}`);
  const code = await cluster.kubectl('get', 'pod', name, `--output=${ended}`);
  const log = await cluster.kubectl('logs', name);
  await cluster.kubectl('delete', 'pod', name, '--now', '--wait=false');
  if (code !== '0') throw new Error(`pod ${name} ended with ${code}:\n${log}`);
  return log;
}

/** `kubectl apply` of objects; each has its namespace itself, or lies in default. */
export async function applyObjects(cluster: Cluster, ...objects: readonly object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const file = await cluster.file(`objects-${randomUUID()}.json`, list);
  await cluster.kubectl('apply', `--filename=${file}`);
}
