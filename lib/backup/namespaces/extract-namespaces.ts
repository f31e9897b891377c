import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBoltFile } from '../../etcd/bolt/reader.ts';
import { type KeyFilter, stateAt } from '../../etcd/mvcc/state-at.ts';
import { GuardianError } from '../../guardian-error.ts';
import { DEFAULT_PREFIX, parseKey } from '../../keyspace/parse-key.ts';
import { directoryOfKey } from '../../keyspace/resource-directory.ts';
import type { BackupPlace } from '../../repository/backup-entry.ts';
import { fetchBase } from '../../repository/fetch-base.ts';
import { MAX_KEY_BYTES, MAX_VALUE_BYTES, type PartRecord } from '../../repository/part-records.ts';
import type { Repository } from '../../repository/repository.ts';
import { writeRestorePoint } from '../../repository/write-restore-point.ts';
import type { NamespacesRead, NamespacesTools } from './back-up-namespaces.ts';
import { NAMESPACES } from './read-namespaces.ts';

/** Namespaces to take out of what is stored of a whole cluster. */
export interface ExtractTask {
  /** Where the part goes; nobody need ever commit it. */
  readonly place: BackupPlace;
  readonly point: { readonly timeline: string; readonly revision: bigint };
  readonly namespaces: readonly string[];
  /** Empty: `/registry`. */
  readonly prefix: string;
}

export interface ExtractTools extends Pick<NamespacesTools, 'signal' | 'onProgress'> {
  readonly repository: Repository;
  /** Takes the whole database meanwhile, in the clear: only beside etcd, whose own files lie there so too. */
  readonly folder: string;
}

/** Directories that nobody wants back, and that are large. */
const PASSED_OVER: ReadonlySet<string> = new Set([
  'events',
  'leases',
  'services/endpoints',
  'endpointslices',
]);

/**
 * Makes the database at the point, and copies what the namespaces held then into a part. Values that are encrypted at
 * rest are in it as they are. Rejects as `points.find`, `writeRestorePoint`, `fetchBase` and the repository do.
 */
export async function extractNamespaces(task: ExtractTask, tools: ExtractTools): Promise<NamespacesRead> {
  const { place, point, namespaces } = task;
  const { repository, folder, signal, onProgress } = tools;
  const prefix = task.prefix === '' ? DEFAULT_PREFIX : task.prefix;
  const { revision, timeline } = point;
  const found = await repository.points.find(
    place.cluster,
    { kind: 'revision', revision },
    { timeline, signal },
  );
  const path = join(folder, `.namespaces-${randomUUID()}.db`);
  try {
    if (found.segments.length === 0) await fetchBase(repository, found.base, path, { signal });
    else
      await writeRestorePoint({ repository, log: repository.segments }, { ...found, revision }, path, {
        ...{ trailer: false, signal },
      });
    await using file = await openBoltFile(path);
    const wanted = selector(prefix, new Set(namespaces));
    const records = async function* (): AsyncGenerator<PartRecord, void> {
      let bytes = 0;
      let objects = 0;
      for await (const { key, value } of stateAt(file, { revision, select: wanted, signal })) {
        const text = key.toString().slice(prefix.length + 1);
        if (key.length > MAX_KEY_BYTES || value.length > MAX_VALUE_BYTES) throw tooLarge(text, value.length);
        bytes += value.length;
        objects++;
        onProgress(bytes, objects);
        yield { key: text, value };
      }
    };
    const part = await repository.namespaces.putPart(place, 'etcd', records(), { signal });
    return { revision, readAt: found.seenAt, part, unreadable: [] };
  } finally {
    await rm(path, { force: true });
  }
}

function selector(prefix: string, namespaces: ReadonlySet<string>): KeyFilter {
  const start = `${prefix}/`;
  return (bytes, from, to) => {
    const key = bytes.toString('utf8', from, to);
    const found = key.startsWith(start) ? parseKey(key, prefix) : undefined;
    if (found === undefined) return false;
    const directory = directoryOfKey(key.slice(start.length), found);
    const namespace = directory === NAMESPACES ? found.name : found.namespace;
    return namespace !== undefined && namespaces.has(namespace) && !PASSED_OVER.has(directory);
  };
}

function tooLarge(key: string, size: number): GuardianError {
  return new GuardianError(
    'tenant.too-large',
    `${JSON.stringify(key.slice(0, 200))} has ${size} bytes; namespaces are restored with up to ${MAX_VALUE_BYTES} each`,
    { hint: 'Restore the whole point into an etcd of its own, and take the object from there.' },
  );
}
