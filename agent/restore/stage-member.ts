import {
  openTaskRepository,
  type RepositoryAccess,
  type RepositoryTools,
} from '../../lib/backup/task/task-repository.ts';
import { judgeVersions } from '../../lib/etcd/datadir/version-rules.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { Grafts } from '../../lib/restore/grafts.ts';
import { restoreOffline, type RestoreStep } from '../../lib/restore/offline-restore.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { adoptOwner, removeRestoreDirs, type RestoreDirs } from '../../lib/restore/cluster/swap-dirs.ts';
import { pointSource } from './restore-source.ts';

export interface MemberToStage {
  readonly plan: JournalEntry['plan'];
  /** Which of the planned members this node has. */
  readonly name: string;
  readonly dirs: RestoreDirs;
  /** Of the etcd that will run on it; undefined where it could not be asked. */
  readonly etcdVersion: string | undefined;
  readonly access: RepositoryAccess;
  readonly grafts: Grafts;
}

export interface StageTools extends RepositoryTools {
  readonly onProgress: (message: string, done: number, total: number) => void;
}

/**
 * Makes the member's data beside the present one, verified and read back, while etcd runs on: what of it fails costs
 * nothing, and leaves nothing. Rejects with the errors of `openTaskRepository`, `pointSource` and `restoreOffline`.
 */
export async function stageMember(
  { plan, name, dirs, etcdVersion, access, grafts }: MemberToStage,
  tools: StageTools,
): Promise<NonNullable<JournalEntry['staged']>> {
  await removeRestoreDirs(dirs);
  try {
    tools.onProgress('opening the store', 0, 0);
    const { repository } = await openTaskRepository(access, tools);
    const { source, versions } = await pointSource(repository, plan, tools.signal);
    const member = plan.members.find((one) => one.name === name);
    if (member === undefined) {
      throw new GuardianError('agent.request', `the plan has no member ${name}`, {
        hint: 'The etcd of this node changed since the plan was made: restore again.',
      });
    }
    const restored = await restoreOffline(
      source,
      {
        members: plan.members,
        dirs: [{ member, dataDir: dirs.staged, walDir: dirs.stagedWal }],
        token: plan.token,
        bumpTo: plan.bumpTo,
        grafts,
      },
      {
        signal: tools.signal,
        versionEdits: etcdVersion === undefined ? undefined : judgeVersions(versions, etcdVersion).edits,
        onStep: (step) => {
          tell(step, tools);
        },
      },
    );
    await adoptOwner(dirs);
    return {
      hashKv: restored.hashKV,
      clusterId: restored.clusterId,
      memberId: restored.dirs[0]?.memberId ?? 0n,
      revision: restored.revision,
      keys: restored.verdict.totalKeys,
    };
  } catch (error) {
    await removeRestoreDirs(dirs).catch(() => undefined);
    throw error;
  }
}

function tell(step: RestoreStep, { onProgress }: StageTools): void {
  switch (step.kind) {
    case 'writing':
      onProgress('writing the data', step.done, step.total ?? 0);
      return;
    case 'merging':
      onProgress(`${step.progress.step} of what was captured`, step.progress.done, step.progress.total);
      return;
    case 'verified':
      onProgress('the data is sound', 0, 0);
      return;
    case 'reading-back':
      onProgress('reading the data back', step.done, step.total);
  }
}
