import type { BackUpNamespacesRequest } from '../../lib/agent-api/task-messages.ts';
import type { NamespacesRead } from '../../lib/backup/namespaces/back-up-namespaces.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { AgentPart, PartTools } from '../agent-part.ts';
import type { TaskWork } from './task-book.ts';
import { accessOf, spoolOf } from './task-request.ts';
import { Turns } from './turns.ts';

/** Parts of backups of namespaces, one after the other: each reads pages of etcd, and holds some. */
export function namespacesPart(tools: PartTools): AgentPart {
  const { terms, tasks } = tools;
  const turns = new Turns();
  return {
    handlers: {
      async *backUpNamespaces(request, { signal }) {
        const { operation } = await terms.admit(request.fence);
        const work = readingNamespaces(request, operation, tools);
        const inTurn: TaskWork = (update, until) =>
          turns.take(
            () => work(update, until),
            (before) => {
              update({ step: 'Preparing', message: `waits for ${before} other tasks on this node` });
            },
            until,
          );
        yield* tasks.follow(operation, 'BackUpNamespaces', inTurn, signal);
      },
    },
  };
}

function readingNamespaces(request: BackUpNamespacesRequest, operation: string, tools: PartTools): TaskWork {
  const { settings, clock, etcd, log } = tools;
  return async (update, signal) => {
    const { cluster, timeline, backupId: id } = request;
    if (cluster === '' || timeline === '' || id === '')
      throw new GuardianError('agent.request', 'a backup of namespaces without a place');
    // An idle agent goes without their code.
    const { openTaskRepository } = await import('../../lib/backup/task/task-repository.ts');
    const { backUpNamespaces } = await import('../../lib/backup/namespaces/back-up-namespaces.ts');
    const { extractNamespaces } = await import('../../lib/backup/namespaces/extract-namespaces.ts');
    const { repository } = await openTaskRepository(accessOf(request), {
      ...{ clock, signal, spool: spoolOf(settings), knownPoints: undefined },
      onWarning: (message) => {
        log.write('warning', 'backup-trouble', message, { operation });
      },
    });
    const { prefix, point } = request;
    const place = { cluster, timeline, id };
    const onProgress = (doneBytes: number, objects: number): void => {
      update({ step: 'Snapshotting', message: `${objects} objects`, doneBytes });
    };
    const fromEtcd = async (): Promise<NamespacesRead> => {
      const { client } = await etcd.current();
      return await backUpNamespaces(
        {
          scopes: request.namespaces.map(({ namespace, resources, namespaceObject }) => ({
            ...{ namespace, namespaceObject, directories: resources },
          })),
          revision: request.revision === 0n ? undefined : request.revision,
          retainUntil: request.retainUntilMs === 0 ? undefined : new Date(request.retainUntilMs),
          ...{ place, prefix },
        },
        { client, repository, clock, signal, onProgress },
      );
    };
    const { part, revision, readAt, unreadable } =
      point === undefined
        ? await fromEtcd()
        : await extractNamespaces(
            { place, point, prefix, namespaces: request.namespaces.map(({ namespace }) => namespace) },
            { repository, folder: spoolOf(settings).folder, signal, onProgress },
          );
    const { name, plainSize, plainSha256, storedSize, sha256: storedSha256, objects } = part;
    return {
      ...{ step: 'Uploading', message: `${objects} objects`, doneBytes: plainSize, totalBytes: plainSize },
      namespaces: {
        ...{ revision, objects, readMs: readAt.getTime(), encryptedResources: unreadable },
        part: { name, plainSize, plainSha256, storedSize, storedSha256 },
      },
    };
  };
}
