import type { Repository, SoundBackup } from '../../repository/repository.ts';
import { isUnwritable } from '../../repository/unwritable-store.ts';
import { BUMP_MARGIN, plannedBump } from '../restore-plan.ts';
import type { ClusterPlan } from './cluster-plan.ts';

export interface RecordedRestore {
  readonly token: string;
  /** The first revision of the restored cluster. */
  readonly bumpTo: bigint;
}

/**
 * Settles token and first revision of a planned restore, written down in the store before anything is made with them; `by`
 * says there who restores. Rejects as `Repository.joinRestore` does.
 */
export async function recordRestore(
  repository: Repository,
  backup: SoundBackup,
  { participants, point, highWater }: ClusterPlan,
  { operation, by }: { readonly operation: string; readonly by: string },
  signal: AbortSignal,
): Promise<RecordedRestore> {
  const token = `etcdguardian-${operation}`;
  const first = (known: bigint): bigint =>
    plannedBump('auto', { currentRevision: highWater, highWater: known }) ?? highWater + BUMP_MARGIN;
  const members = participants.map(({ name, peerUrls }) => ({ name, peerUrls }));
  try {
    const { record } = await repository.joinRestore(
      {
        ...{ cluster: point.cluster, backup, members, token, bump: 'auto', firstRevision: first },
        revision: point.revision === backup.manifest.snapshot.currentRevision ? undefined : point.revision,
        own: members.map((member) => member.name),
        by,
      },
      { signal },
    );
    const bumpTo = record.bumpTo ?? first(highWater);
    // A record of an earlier attempt may be from before the newest writes.
    return { token, bumpTo: bumpTo > highWater ? bumpTo : first(bumpTo) };
  } catch (error) {
    signal.throwIfAborted();
    // With credentials that only read, the operation's own token keeps the members apart from all others.
    if (isUnwritable(error)) return { token, bumpTo: first(highWater) };
    throw error;
  }
}
