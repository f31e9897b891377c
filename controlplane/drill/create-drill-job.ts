import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { DRILL_LABELS, drillJob, type Job, JOBS, orderOf } from './drill-job.ts';
import type { DrillOrder } from './drill-order.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';
import { drillNames, SERVED_ANNOTATION } from './drill-request.ts';
import type { WantedDrill } from './choose-drill.ts';
import type { DrillTools } from './prepare-drill.ts';
import { tellTaken } from './tell-drill.ts';

/**
 * Makes the Job of a drill, under the first of its names that is free: one that a stranger's Job has is told, with the way
 * out. Rejects with `kubernetes.exists` where another replica has begun it, and with `controlplane.drill` where strangers
 * have all of them.
 */
export async function createDrillJob(
  order: DrillOrder,
  { backup, requested }: WantedDrill,
  pod: DrillPodSettings,
  tools: DrillTools,
  signal: AbortSignal,
): Promise<Job> {
  const { kube, namespace, settings } = tools;
  const taken: string[] = [];
  for (const name of drillNames(backup)) {
    const job = drillJob(
      { ...order, name },
      {
        ...{
          namespace,
          deadlineMs: settings.drillsDeadlineMs,
          serviceAccount: settings.drillsServiceAccount,
        },
        pod,
      },
    );
    const { annotations } = job.metadata;
    const served = requested === undefined ? {} : { [SERVED_ANNOTATION]: requested };
    const asked = { ...job, metadata: { ...job.metadata, annotations: { ...annotations, ...served } } };
    try {
      return await kube.create<Job>(JOBS, namespace, asked, { signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      const { items } = await kube.list<Job>(JOBS, {
        ...{ namespace, fieldSelector: `metadata.name=${name}`, signal },
      });
      const [there] = items;
      if (there === undefined || isItsJob(there, backup)) throw error;
      // One of ours that goes is in the way for a moment only.
      if (there.metadata.deletionTimestamp === undefined) tellTaken(tools, backup, name);
      taken.push(name);
    }
  }
  throw new GuardianError(
    'controlplane.drill',
    `Jobs that are not ours are in the way: ${taken.join(', ')}`,
    { hint: `Delete them: kubectl delete jobs -n ${namespace} ${taken.join(' ')}` },
  );
}

/** It is watched, and will be written down. */
function isItsJob(job: Job, { metadata: { uid } }: EtcdBackup): boolean {
  const { labels = {}, deletionTimestamp } = job.metadata;
  const isWatched = Object.entries(DRILL_LABELS).every(([label, value]) => labels[label] === value);
  return isWatched && orderOf(job)?.backup.uid === uid && deletionTimestamp === undefined;
}
