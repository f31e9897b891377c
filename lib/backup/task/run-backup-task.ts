import { randomBytes } from 'node:crypto';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { SoundBackup } from '../../repository/repository.ts';
import { catchUp, type CaughtUp } from '../capture/catch-up.ts';
import { clusterName } from '../cluster-name.ts';
import { fullBackup, type FullBackup, type FullBackupRequest } from '../full-backup.ts';
import type { AttachmentSource } from '../store-attachments.ts';
import { type BackupTaskResult, resultOfBackup, type TaskMode } from './backup-result.ts';
import { IncrementBooks } from './increment-books.ts';
import { type TaskProgress, TaskSteps } from './task-steps.ts';
import {
  openTaskRepository,
  type RepositoryAccess,
  type RepositoryTools,
  type TaskRepository,
} from './task-repository.ts';

/** A backup that a custom resource asks for. */
export interface BackupTask {
  /** Names the work; e.g. the uid of the EtcdBackup. A backup that it has made is found again by it. */
  readonly operation: string;
  readonly mode: TaskMode;
  readonly repository: RepositoryAccess;
  /** Undefined: the uid of namespace kube-system, from etcd. */
  readonly cluster: string | undefined;
  /** Whether a member must prove it; with None only what members keep for nothing would be told. */
  readonly proof: 'None' | 'IfPossible' | 'Required';
  readonly retainUntil: Date | undefined;
  readonly requester: FullBackupRequest['requester'];
  /** Kept in the manifest. */
  readonly labels: Readonly<Record<string, string>>;
  /** Another etcd cluster than this is refused; undefined: any. */
  readonly etcdClusterId: bigint | undefined;
  /** False where the cluster is not ours: its members' addresses are not dialled, only the endpoints. Default true. */
  readonly listedMembers?: boolean | undefined;
}

export interface BackupTaskTools extends RepositoryTools {
  readonly client: EtcdClient;
  /** What a full backup takes along; undefined: nothing. */
  readonly attachments?: AttachmentSource | undefined;
  readonly onProgress: (progress: TaskProgress) => void;
}

/**
 * Makes the backup of one custom resource, on a node and in the control plane alike. What an earlier run of the same
 * operation has committed is found and taken for the result. Rejects with the errors of store, keys, repository and
 * etcd, with `backup.other-cluster`, those of `fullBackup` and `catchUp`, and with the signal's reason; nothing but
 * sweepable remains is left then.
 */
export async function runBackupTask(task: BackupTask, tools: BackupTaskTools): Promise<BackupTaskResult> {
  const { client, clock, signal } = tools;
  const steps = new TaskSteps(tools.onProgress);

  // 1. What is where?
  steps.preparing('opening the store');
  const opened = await openTaskRepository(task.repository, tools);
  const cluster = await clusterName(client, task.cluster, signal);
  await refuseOtherCluster(client, task.etcdClusterId, signal);

  // 2. Has it been made before?
  const { repository } = opened;
  const since = new Date(clock().getTime() - LONGEST_OPERATION_MS);
  const earlier = await madeBy(task.operation, opened, cluster, since, signal);
  if (earlier !== undefined) {
    const modeReason = task.mode === 'INCREMENTAL' ? 'an earlier attempt had to make a full backup' : '';
    return resultOfBackup(repository.location, earlier, { modeReason, found: true });
  }

  // 3. Make it.
  const takeFull = (until: AbortSignal): Promise<FullBackup> =>
    full(task, tools, opened, cluster, until, steps);
  if (task.mode === 'FULL') {
    const { backup } = await takeFull(signal);
    return resultOfBackup(repository.location, backup, { modeReason: '', found: false });
  }
  return await increment(task, tools, opened, cluster, takeFull, steps);
}

/** The label of a manifest that says whose backup it is. */
export const OPERATION_LABEL = 'etcdguardian.io/operation';
/** Nothing is tried longer than this. */
const LONGEST_OPERATION_MS = 48 * 3_600_000;

async function refuseOtherCluster(
  client: EtcdClient,
  expected: bigint | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (expected === undefined) return;
  const { header } = await client.range('\0', { countOnly: true, serializable: true, signal });
  if (header.clusterId === expected) return;
  throw new GuardianError(
    'backup.other-cluster',
    `this etcd is of cluster ${header.clusterId.toString(16)}, not ${expected.toString(16)}`,
    {
      hint: 'It was rebuilt or restored, or the endpoints lead to another cluster: look before backing it up.',
    },
  );
}

/** Removed ones count too: the operation was done. */
async function madeBy(
  operation: string,
  { repository }: TaskRepository,
  cluster: string,
  since: Date,
  signal: AbortSignal,
): Promise<SoundBackup | undefined> {
  const entries = await repository.listBackups(cluster, { includeRemoved: true, since, signal });
  return entries.find(
    (entry): entry is SoundBackup =>
      entry.state === 'sound' && entry.manifest.labels?.[OPERATION_LABEL] === operation,
  );
}

async function full(
  task: BackupTask,
  { client, clock, attachments, onWarning }: BackupTaskTools,
  opened: TaskRepository,
  cluster: string,
  signal: AbortSignal,
  steps: TaskSteps,
): Promise<FullBackup> {
  const done = await fullBackup(
    {
      cluster,
      proof: { mode: PROOF_MODES[task.proof], listedMembers: task.listedMembers },
      streamLimitMs: STREAM_LIMIT_MS,
      attempts: ATTEMPTS,
      retainUntil: task.retainUntil,
      requester: task.requester,
      labels: { ...task.labels, [OPERATION_LABEL]: task.operation },
    },
    {
      ...{ client, clock, signal, attachments, repository: opened.repository },
      onEvent: (event) => {
        if (event.kind === 'attachments' && event.leftOut !== undefined)
          onWarning(`files of the node are left out: ${event.leftOut}`);
        steps.follow(event);
      },
    },
  );
  await opened.remember(done.backup);
  return done;
}

const PROOF_MODES = { None: 'off', IfPossible: 'auto', Required: 'required' } as const;
const STREAM_LIMIT_MS = 30 * 60_000;
const ATTEMPTS = 3;

async function increment(
  task: BackupTask,
  { client, clock, signal }: BackupTaskTools,
  { repository, store }: TaskRepository,
  cluster: string,
  takeFull: (signal: AbortSignal) => Promise<FullBackup>,
  steps: TaskSteps,
): Promise<BackupTaskResult> {
  const books = new IncrementBooks(clock);
  let base: FullBackup | undefined;
  steps.preparing('looking for the chain to go on from');
  const caughtUp: CaughtUp = await catchUp(
    { cluster, retainUntil: task.retainUntil },
    {
      ...{ client, repository, store, clock, randomBytes, signal },
      takeBase: async (until) => (base = await takeFull(until)),
      onEvent: (event) => {
        books.follow(event);
        steps.followIncrement(event);
      },
    },
  );
  if (base !== undefined) {
    const modeReason = caughtUp.reason ?? 'there was nothing to go on from';
    return resultOfBackup(repository.location, base.backup, { modeReason, found: false });
  }
  return { ...(await books.resultOf(caughtUp, client, signal)), location: repository.location };
}
