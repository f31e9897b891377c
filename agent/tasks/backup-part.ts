import type { BackupTask } from '../../lib/backup/task/run-backup-task.ts';
import type { Fence } from '../../lib/agent-api/request-parts.ts';
import type { BuildRestorePointRequest, TakeBackupRequest } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { AgentPart, PartTools } from '../agent-part.ts';
import { nodeAttachments } from '../attachments/node-attachments.ts';
import type { TaskWork } from './task-book.ts';
import { accessOf, emptyAsUndefined, knownPointsOf, spoolOf } from './task-request.ts';
import { Turns } from './turns.ts';

/** Backups of this node's etcd, one after the other: a snapshot costs etcd, and memory here. */
export function backupPart(tools: PartTools): AgentPart {
  const { terms, tasks } = tools;
  const turns = new Turns();
  const inTurn =
    (work: TaskWork): TaskWork =>
    (update, signal) =>
      turns.take(
        () => work(update, signal),
        (before) => {
          update({ step: 'Preparing', message: `waits for ${before} other tasks on this node` });
        },
        signal,
      );
  return {
    handlers: {
      async *takeBackup(request, { signal }) {
        const fence = await terms.admit(request.fence);
        yield* tasks.follow(
          fence.operation,
          'TakeBackup',
          inTurn(takingBackup(request, fence, tools)),
          signal,
        );
      },
      async *buildRestorePoint(request, { signal }) {
        const fence = await terms.admit(request.fence);
        const work = inTurn(buildingPoint(request, fence, tools));
        yield* tasks.follow(fence.operation, 'BuildRestorePoint', work, signal);
      },
      async cancelTask({ fence, reason }) {
        const { operation } = await terms.admit(fence);
        return { cancelled: tasks.cancel(operation, reason) };
      },
    },
  };
}

function takingBackup(request: TakeBackupRequest, { operation }: Fence, tools: PartTools): TaskWork {
  const { settings, clock, etcd, log } = tools;
  return async (update, signal) => {
    const task: BackupTask = {
      operation,
      mode: request.mode,
      repository: accessOf(request),
      cluster: emptyAsUndefined(request.cluster),
      proof: proofOf(request.proof),
      retainUntil: request.retainUntilMs === 0 ? undefined : new Date(request.retainUntilMs),
      requester: request.requester,
      labels: request.labels,
      etcdClusterId: request.etcdClusterId === 0n ? undefined : request.etcdClusterId,
    };
    const { client } = await etcd.current();
    // Most of the memory that backups take is their code: an idle agent goes without.
    const { runBackupTask } = await import('../../lib/backup/task/run-backup-task.ts');
    const backup = await runBackupTask(task, {
      ...{ client, clock, signal, spool: spoolOf(settings), knownPoints: knownPointsOf(settings) },
      onWarning: (message) => {
        log.write('warning', 'backup-trouble', message, { operation });
      },
      attachments: nodeAttachments(settings, clock),
      onProgress: update,
    });
    return {
      step: 'ValidatingSnapshot',
      message: 'done',
      doneBytes: backup.snapshotBytes,
      totalBytes: backup.snapshotBytes,
      backup,
    };
  };
}

function proofOf(text: string): BackupTask['proof'] {
  if (text === 'None' || text === 'IfPossible' || text === 'Required') return text;
  if (text === '') return 'IfPossible';
  throw new GuardianError('agent.request', `proof is ${JSON.stringify(text.slice(0, 40))}`, {
    hint: 'It is None, IfPossible or Required.',
  });
}

function buildingPoint(request: BuildRestorePointRequest, { operation }: Fence, tools: PartTools): TaskWork {
  const { settings, clock, log } = tools;
  return async (update, signal) => {
    if (request.point === undefined || request.cluster === '')
      throw new GuardianError('agent.request', 'a restore point without a cluster or a revision');
    const { buildRestorePoint } = await import('../../lib/backup/task/build-restore-point.ts');
    const spool = spoolOf(settings);
    const restorePoint = await buildRestorePoint(
      {
        operation,
        repository: accessOf(request),
        cluster: request.cluster,
        timeline: request.point.timeline,
        revision: request.point.revision,
      },
      {
        ...{ clock, signal, spool, knownPoints: knownPointsOf(settings) },
        onWarning: (message) => {
          log.write('warning', 'restore-point-trouble', message, { operation });
        },
        onProgress: (message, doneBytes, totalBytes) => {
          update({ step: 'Preparing', message, doneBytes, totalBytes });
        },
      },
    );
    return { step: 'Preparing', message: 'done', restorePoint };
  };
}
