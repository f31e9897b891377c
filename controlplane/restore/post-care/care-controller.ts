import { hasCode } from '../../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreStatus } from '../../../lib/kubernetes/api/etcd-restore-status.ts';
import { splitKey } from '../../../lib/kubernetes/object-key.ts';
import { setCondition } from '../../../lib/kubernetes/set-condition.ts';
import { writeStatus } from '../../../lib/kubernetes/write-status.ts';
import type { Again, Controller } from '../../controller.ts';
import type { ControlPlaneTools } from '../../tools.ts';
import { operationOf } from '../bring-back.ts';
import type { RestoreRuns } from '../restore-runs.ts';
import { type RestoreWatch, restoreWatch } from '../restore-watch.ts';
import { listCronJobs, takeCensus } from './census.ts';
import { findings } from './findings.ts';
import { type MasterLeases, readMasterLeases, staleLeases } from './master-leases.ts';

export interface RestoreCareOptions {
  /** Who led a restore has counted before it what there is. */
  readonly runs: RestoreRuns;
  /** Between two looks at what is renewed every 10 s, and lasts for 15 s when it isn't. Default 30 s. */
  readonly betweenMs?: number | undefined;
}

interface FirstLook {
  readonly atMs: number;
  readonly leases: MasterLeases | undefined;
}

const BETWEEN_MS = 30_000;
const CONFLICT_MS = 200;
/** Whoever looks later sees other things than a restore's. */
const RECENT_MS = 3_600_000;

/** Looks at the cluster once behind each committed restore, and tells in condition `PostCare` and an Event what it sees. */
export function restoreCareController(tools: ControlPlaneTools, options: RestoreCareOptions): Controller {
  const { betweenMs = BETWEEN_MS, runs } = options;
  const looks = new Map<string, FirstLook>();
  let restores: RestoreWatch | undefined;

  const care = async (key: string, restore: EtcdRestore, signal: AbortSignal): Promise<Again | undefined> => {
    // 1. What renews itself, or ends, has to be looked at twice.
    const { members = [], restorePoint } = restore.status ?? {};
    const operation = operationOf(restore);
    const nodes = members.map(({ node }) => node);
    const first = looks.get(operation);
    if (first === undefined) {
      looks.set(operation, { atMs: performance.now(), leases: await readMasterLeases(nodes, tools, signal) });
      return { afterMs: betweenMs };
    }
    const leftMs = first.atMs + betweenMs - performance.now();
    if (leftMs > 0) return { afterMs: leftMs };

    // 2. What is there?
    const second = first.leases === undefined ? undefined : await readMasterLeases(nodes, tools, signal);
    const { kube, clock } = tools;
    const run = runs.get(key);
    const found = findings({
      before: run?.operation === operation ? run.before : undefined,
      after: await takeCensus(kube, signal),
      cronJobs: await listCronJobs(kube, signal),
      restoredTo: restorePoint?.time === undefined ? undefined : new Date(restorePoint.time),
      now: clock(),
      staleLeases:
        first.leases === undefined || second === undefined ? undefined : staleLeases(first.leases, second),
    });

    // 3. Tell.
    await tell(key, restore, found, signal);
    looks.delete(operation);
    return undefined;
  };

  const tell = async (
    key: string,
    restore: EtcdRestore,
    found: readonly string[],
    signal: AbortSignal,
  ): Promise<void> => {
    const { namespace, name } = splitKey(key);
    const message = found.length === 0 ? 'nothing was found that needs anybody' : `${found.join('. ')}.`;
    const { status = {}, metadata } = restore;
    const condition = {
      type: 'PostCare',
      ...(found.length === 0
        ? ({ status: 'True', reason: 'NothingFound' } as const)
        : ({ status: 'False', reason: 'LookAtIt' } as const)),
      message,
      ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
    };
    const conditions = setCondition(status.conditions, condition, tools.clock());
    const reference = { resource: ETCD_RESTORE_RESOURCE, namespace, name };
    const next = { ...status, conditions };
    await writeStatus<EtcdRestoreStatus, EtcdRestore>(tools.kube, reference, restore, next, { signal });
    const { apiVersion, kind } = ETCD_RESTORE_RESOURCE;
    const target = { apiVersion, kind, metadata };
    if (found.length === 0) tools.events.normal(target, 'PostCare', message);
    else tools.events.warning(target, 'PostCare', message);
    tools.log.write(found.length === 0 ? 'info' : 'warning', 'post-care', `${key}: ${message}`, {
      restore: key,
    });
  };

  return {
    name: 'restore-care',
    workers: 1,
    async start(queue, signal) {
      restores = restoreWatch(tools, signal);
      restores.listen((key) => {
        queue.add(key);
      });
      await restores.synced;
    },
    async reconcile(key, signal) {
      const restore = restores?.get(key);
      if (restore === undefined || !wantsCare(restore, tools.clock())) return undefined;
      try {
        return await care(key, restore, signal);
      } catch (error) {
        if (hasCode(error, 'kubernetes.conflict')) return { afterMs: CONFLICT_MS };
        throw error;
      }
    },
  };
}

/** A whole cluster was restored not long ago, and nobody has looked behind it. */
function wantsCare({ metadata, status = {} }: EtcdRestore, now: Date): boolean {
  const condition = status.conditions?.find(({ type }) => type === 'PostCare');
  const { completionTime } = status;
  if (status.phase !== 'Completed' || condition?.status !== 'Unknown' || completionTime === undefined)
    return false;
  const isRecent = now.getTime() - new Date(completionTime).getTime() < RECENT_MS;
  return isRecent && metadata.deletionTimestamp === undefined;
}
