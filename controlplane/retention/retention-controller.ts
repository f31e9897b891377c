import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { parentOf } from '../backup/backup-labels.ts';
import { type BackupWatch, backupWatch } from '../backup/backup-watch.ts';
import { target } from '../backup/tell-backup.ts';
import type { Again, Controller } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { type Applied, applyPolicy } from './apply-policy.ts';
import { openStored } from './open-stored.ts';
import { newestOf, retentionGroup } from './retention-group.ts';

/** Also without a new backup: what is too old goes, and what is removed is swept. */
const EVERY_MS = 6 * 3_600_000;
const SWEEP_EVERY_MS = 24 * 3_600_000;

interface GroupState {
  /** The newest backup that the policy was applied after. */
  readonly uid: string | undefined;
  readonly appliedMs: number;
  sweptMs: number;
}

/** Applies retention policies after each completed backup, removes what they give up, and sweeps now and then. */
export function retention(tools: ControlPlaneTools): Controller {
  let watch: BackupWatch | undefined;
  const groups = new Map<string, GroupState>();

  const apply = async (newest: EtcdBackup, key: string, signal: AbortSignal): Promise<void> => {
    const began = tools.clock();
    const repository = await openStored(newest, tools, signal);
    const applied = await applyPolicy(repository, newest, signal);
    await tell(newest, applied);
    const before = groups.get(key);
    await pruneRuns(tools, watch?.list() ?? [], key, applied, began, signal);
    const nowMs = performance.now();
    const state = {
      uid: newest.metadata.uid,
      appliedMs: nowMs,
      sweptMs: before?.sweptMs ?? nowMs - firstSweepMs(),
    };
    groups.set(key, state);
    if (nowMs - state.sweptMs < SWEEP_EVERY_MS) return;
    await sweep(repository, signal);
    state.sweptMs = nowMs;
  };
  /** Replicas that take turns must not put it off for ever, nor do all of it at once. */
  const firstSweepMs = (): number => SWEEP_EVERY_MS * (0.75 + tools.random() / 4);

  const tell = (newest: EtcdBackup, { removed }: Applied): Promise<void> => {
    if (removed.size === 0) return Promise.resolve();
    const { namespace, name, uid } = newest.metadata;
    const ids = [...removed].slice(0, 20).join(', ');
    const text = `${removed.size} backups were removed by retentionPolicy, and can be had back for 24 h: ${ids}`;
    tools.events.normal(target(newest), 'BackupsRemoved', text);
    tools.audit({
      who: newest.spec.requestedBy,
      what: 'delete-data',
      resource: { kind: 'EtcdBackup', namespace, name, uid },
      ...{ scope: ids, result: 'succeeded', reason: 'retention', message: text },
    });
    return Promise.resolve();
  };

  const sweep = async (repository: Repository, signal: AbortSignal): Promise<void> => {
    const { deleted, refused, abortedUploads } = await repository.sweep({ signal });
    const text = `${repository.location}: ${deleted.length} objects that nobody needs were deleted, ${abortedUploads} unfinished uploads ended, ${refused.length} refused`;
    tools.log.write(refused.length > 0 ? 'warning' : 'info', 'swept', text);
  };

  return {
    name: 'retention',
    workers: 1,
    async start(queue, signal) {
      const all = (watch = backupWatch(tools, signal));
      all.listen((key) => {
        const backup = all.get(key);
        const group = backup && retentionGroup(backup);
        if (group !== undefined) queue.add(group);
      });
      await all.synced;
    },
    async reconcile(key, signal): Promise<Again | undefined> {
      const newest = newestOf(watch?.list() ?? [], key);
      if (newest === undefined) {
        groups.delete(key);
        return undefined;
      }
      const state = groups.get(key);
      const leftMs = (state?.appliedMs ?? -Infinity) + EVERY_MS - performance.now();
      if (state?.uid === newest.metadata.uid && leftMs > 0) return { afterMs: leftMs };
      try {
        await apply(newest, key, signal);
      } catch (error) {
        if (!(error instanceof GuardianError) || error.retryable || error.code.startsWith('kubernetes.'))
          throw error;
        // A Secret that is gone comes back by somebody's hand, not by trying.
        const text = `retentionPolicy can't be applied: ${errorText(error)}`;
        tools.events.warning(target(newest), 'RetentionFailed', text);
        tools.log.write('warning', 'retention-failed', `${key}: ${text}`, errorFields(error));
        groups.set(key, {
          uid: newest.metadata.uid,
          appliedMs: performance.now(),
          sweptMs: state?.sweptMs ?? performance.now(),
        });
      }
      return { afterMs: EVERY_MS };
    },
  };
}

/**
 * Runs of schedules stand for their data: without it they go too, also where whoever removed it came no further. Single
 * backups are whoever's made them.
 */
async function pruneRuns(
  { kube }: ControlPlaneTools,
  backups: readonly EtcdBackup[],
  group: string,
  { isRemoved }: Applied,
  before: Date,
  signal: AbortSignal,
): Promise<void> {
  for (const backup of backups) {
    if (retentionGroup(backup) !== group || parentOf(backup) === undefined) continue;
    const { completionTime = '' } = backup.status ?? {};
    if (new Date(completionTime) >= before || !(await isRemoved(backup.status ?? {}))) continue;
    const { namespace, name, uid } = backup.metadata;
    try {
      await kube.delete({ resource: ETCD_BACKUP_RESOURCE, namespace, name }, { uid, signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.not-found') && !hasCode(error, 'kubernetes.conflict')) throw error;
    }
  }
}
