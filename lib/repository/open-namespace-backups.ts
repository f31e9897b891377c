import { createHash } from 'node:crypto';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import { timeOfBackupId } from './backup-id.ts';
import { COMPRESSION } from './compress-frames.ts';
import { putContent, readContent } from './content.ts';
import { checkClusterName, namespacePartName, namespacesFolder, parseName } from './layout.ts';
import { timelinesOf } from './list-backups.ts';
import type { NamespaceBackupEntry, NamespaceBackups, SoundNamespaceBackup } from './namespace-backups.ts';
import type { NamespacePart } from './namespace-manifest.ts';
import { planNamespaceRetention } from './namespace-retention.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { decodeRecords, encodeRecords, type PartRecord } from './part-records.ts';
import { readNamespaceManifest } from './read-namespace-manifest.ts';
import { listRemovalMarks, markRemoval, readRemoval } from './removals.ts';
import type { BackupPlace, ListOptions, RepositorySettings } from './repository.ts';
import { beginNamespaceBackup, describePart } from './write-namespace-backup.ts';

/** See `NamespaceBackups`. */
export function openNamespaceBackups(settings: RepositorySettings): NamespaceBackups {
  const list: NamespaceBackups['list'] = (cluster, options = {}) => listAll(settings, cluster, options);
  const planRetention: NamespaceBackups['planRetention'] = async (cluster, policy, { signal } = {}) =>
    planNamespaceRetention(await list(cluster, { signal }), policy, settings.clock());
  return {
    begin: (request, { signal } = {}) => beginNamespaceBackup(settings, request, signal),
    putPart: (place, kind, records, options = {}) => putPart(settings, place, kind, records, options),
    describePart: (place, put) => describePart(settings, place, put),
    list,
    find: (cluster, id, options = {}) => find(settings, cluster, id, options),
    async *readPart(place, part, options = {}) {
      yield* decodeRecords(readContent(settings, place, part, options), part.name);
    },
    planRetention,
    async applyRetention(cluster, policy, request, options = {}) {
      const plan = await planRetention(cluster, policy, options);
      for (const { backup, reason } of plan.remove) {
        const isThere = ({ removal }: { removal: unknown }): boolean => removal === undefined;
        await markRemoval(settings, backup, 'remove', { reason, ...request }, isThere, options.signal);
      }
      return plan;
    },
  };
}

async function putPart(
  settings: RepositorySettings,
  place: BackupPlace,
  kind: NamespacePart['kind'],
  records: AsyncIterable<PartRecord>,
  options: Parameters<NamespaceBackups['putPart']>[3] & object,
): Promise<NamespacePart> {
  checkClusterName(place.cluster);
  let objects = 0;
  const plain = createHash('sha256');
  const counted = async function* (): AsyncGenerator<PartRecord, void> {
    for await (const record of records) {
      objects++;
      yield record;
    }
  };
  const hashed = async function* (): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of encodeRecords(counted())) {
      plain.update(chunk);
      yield chunk;
    }
  };
  const name = namespacePartName(place, kind, settings.encryption !== undefined);
  if (parseName(name)?.kind !== 'namespace-part') {
    throw new GuardianError(
      'repository.place',
      `${JSON.stringify(name)} is no place for a part of a backup`,
      {
        hint: 'Agent and caller must be of the same version: finish the upgrade.',
      },
    );
  }
  const content = await putContent(settings, place, name, hashed(), options);
  return { ...content, kind, objects, plainSha256: plain.digest('hex'), compression: { ...COMPRESSION } };
}

async function listAll(
  settings: RepositorySettings,
  cluster: string,
  { includeRemoved = false, since, signal }: ListOptions,
): Promise<NamespaceBackupEntry[]> {
  const entries: NamespaceBackupEntry[] = [];
  for (const timeline of await timelinesOf(settings, cluster, signal)) {
    const places = await committed(settings, cluster, timeline, signal);
    const wanted = places.filter(({ id }) => since === undefined || timeOfBackupId(id) >= since);
    if (wanted.length === 0) continue;
    const marks = await listRemovalMarks(settings, cluster, timeline, signal);
    const read = (place: BackupPlace): Promise<NamespaceBackupEntry> =>
      readEntry(settings, place, marks.get(place.id) ?? [], signal);
    const found: NamespaceBackupEntry[] = [];
    for await (const entry of orderedAhead(wanted, READS_AT_ONCE, read)) found.push(entry);
    entries.push(...found.sort(newestFirst));
  }
  return includeRemoved ? entries : entries.filter(({ removal }) => removal === undefined);
}

const READS_AT_ONCE = 8;

/** By revision where both can be read, since clocks may be wrong; else by id. */
function newestFirst(a: NamespaceBackupEntry, b: NamespaceBackupEntry): number {
  if (a.state === 'sound' && b.state === 'sound' && a.manifest.revision !== b.manifest.revision)
    return a.manifest.revision > b.manifest.revision ? -1 : 1;
  return a.id > b.id ? -1 : 1;
}

async function committed(
  { store }: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<BackupPlace[]> {
  const places: BackupPlace[] = [];
  for await (const { name } of store.list(namespacesFolder(cluster, timeline), { signal })) {
    const named = parseName(name);
    if (named?.kind === 'namespace-manifest') places.push(named.place);
  }
  return places.reverse();
}

async function readEntry(
  settings: RepositorySettings,
  place: BackupPlace,
  marks: readonly StoredObject[],
  signal: AbortSignal | undefined,
): Promise<NamespaceBackupEntry> {
  const { removal, problems: warnings, last: lastMark } = await readRemoval(settings, marks, signal);
  const { cluster, timeline, id } = place;
  const common = { cluster, timeline, id, removal, lastMark, warnings };
  try {
    const { value: manifest, sha256 } = await readNamespaceManifest(settings, place, signal);
    return { state: 'sound', ...common, manifest, manifestSha256: sha256 };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return { state: 'damaged', ...common, problem: error };
  }
}

async function find(
  settings: RepositorySettings,
  cluster: string,
  id: string,
  { includeRemoved = false, signal }: ListOptions,
): Promise<SoundNamespaceBackup> {
  for (const timeline of await timelinesOf(settings, cluster, signal)) {
    const place = { cluster, timeline, id };
    const marks = await listRemovalMarks(settings, cluster, timeline, signal);
    const entry = await readEntry(settings, place, marks.get(id) ?? [], signal);
    if (entry.state === 'damaged' && hasCode(entry.problem, 'store.not-found')) continue;
    if (entry.removal !== undefined && !includeRemoved) {
      const { removedAt, by } = entry.removal;
      throw new GuardianError(
        'repository.removed',
        `backup ${id} was removed at ${removedAt.toISOString()} by ${by}`,
        { hint: 'Use another backup.' },
      );
    }
    if (entry.state === 'damaged') throw entry.problem;
    return entry;
  }
  throw new GuardianError(
    'repository.not-found',
    `no backup ${JSON.stringify(id.slice(0, 64))} of namespaces of cluster ${cluster} in ${settings.store.location}`,
    { hint: 'See status.snapshotLocation of the EtcdBackup; retention may have removed the backup.' },
  );
}
