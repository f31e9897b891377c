import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { DEFAULT_PREFIX } from '../../keyspace/parse-key.ts';
import type { BackupPlace } from '../../repository/backup-entry.ts';
import type { NamespacePart } from '../../repository/namespace-manifest.ts';
import type { PartRecord } from '../../repository/part-records.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Clock } from '../../clock.ts';
import { type NamespaceScope, readNamespaces } from './read-namespaces.ts';

/** One part of a backup of namespaces that someone else commits. */
export interface NamespacesTask {
  readonly place: BackupPlace;
  readonly scopes: readonly NamespaceScope[];
  /** Undefined: now. */
  readonly revision: bigint | undefined;
  /** Empty: `/registry`. */
  readonly prefix: string;
  readonly retainUntil: Date | undefined;
}

export interface NamespacesTools {
  readonly client: EtcdClient;
  readonly repository: Pick<Repository, 'namespaces'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Plain bytes so far. */
  readonly onProgress: (doneBytes: number, objects: number) => void;
}

export interface NamespacesRead {
  readonly revision: bigint;
  /** When etcd was there, or a moment before. */
  readonly readAt: Date;
  readonly part: NamespacePart;
  /** Directories with values that can't be read; what the part has of them doesn't count. */
  readonly unreadable: readonly string[];
}

/** Reads the scopes from etcd, at one revision, into the part of that backup. Rejects as `readNamespaces` and the repository. */
export async function backUpNamespaces(
  task: NamespacesTask,
  tools: NamespacesTools,
): Promise<NamespacesRead> {
  const { client, repository, clock, signal } = tools;
  const prefix = task.prefix === '' ? DEFAULT_PREFIX : task.prefix;
  const readAt = clock();
  const revision = task.revision ?? (await currentRevision(client, prefix, signal));
  const unreadable = new Set<string>();
  const onUnreadable = (directory: string): void => {
    unreadable.add(directory);
  };
  const records = readNamespaces(client, { scopes: task.scopes, revision, prefix, signal, onUnreadable });
  const { place, retainUntil } = task;
  const part = await repository.namespaces.putPart(place, 'etcd', counted(records, tools.onProgress), {
    signal,
    retainUntil,
  });
  return { revision, readAt, part, unreadable: [...unreadable].sort() };
}

/** With a quorum's word: a member that lags must not give a past. */
async function currentRevision(client: EtcdClient, prefix: string, signal: AbortSignal): Promise<bigint> {
  const { header } = await client.range(`${prefix}/namespaces/kube-system`, { countOnly: true, signal });
  return header.revision;
}

async function* counted(
  records: AsyncIterable<PartRecord>,
  tell: NamespacesTools['onProgress'],
): AsyncGenerator<PartRecord, void> {
  let bytes = 0;
  let objects = 0;
  for await (const record of records) {
    bytes += record.key.length + record.value.length;
    objects++;
    tell(bytes, objects);
    yield record;
  }
}
