import { GuardianError } from '../guardian-error.ts';
import { timeOfBackupId } from './backup-id.ts';
import { checkClusterName, timelinesFolder } from './layout.ts';
import { listChains } from './list-chains.ts';
import { listFolders } from './list-folders.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { readBackup } from './read-backup.ts';
import { listRemovalMarks } from './removals.ts';
import type {
  BackupEntry,
  BackupPlace,
  DamagedBackup,
  FoundBackup,
  ListOptions,
  RepositorySettings,
  SoundBackup,
} from './repository.ts';

/** See `Repository.listBackups`. */
export async function listBackups(
  settings: RepositorySettings,
  cluster: string,
  { includeRemoved = false, since, signal }: ListOptions = {},
): Promise<BackupEntry[]> {
  const entries: BackupEntry[] = [];
  for (const timeline of await timelinesOf(settings, cluster, signal)) {
    const places = await committed(settings, cluster, timeline, signal);
    const wanted = places.filter(({ id }) => since === undefined || timeOfBackupId(id) >= since);
    entries.push(...(await readAll(settings, wanted, signal)));
  }
  return includeRemoved ? entries : entries.filter(isPresent);
}

/** See `Repository.find`. */
export async function findBackup(
  settings: RepositorySettings,
  cluster: string,
  which: string,
  options: ListOptions = {},
): Promise<FoundBackup> {
  return which === 'latest'
    ? findLatest(settings, cluster, options.signal)
    : { backup: await findById(settings, cluster, which, options), passedOver: [] };
}

/** The newest `most` by id, removed ones too: what they tell of the timeline still holds. */
export async function newestOnTimeline(
  settings: RepositorySettings,
  { cluster, timeline }: Pick<BackupPlace, 'cluster' | 'timeline'>,
  most: number,
  signal: AbortSignal | undefined,
): Promise<BackupEntry[]> {
  return readAll(settings, (await committed(settings, cluster, timeline, signal)).slice(0, most), signal);
}

/** The newest sound one: of the newest timeline, that with the highest revision. */
export function newestSound(entries: readonly BackupEntry[]): SoundBackup | undefined {
  let newest: SoundBackup | undefined;
  for (const entry of entries) {
    if (entry.state === 'sound' && (newest === undefined || isNewer(entry, newest))) newest = entry;
  }
  return newest;
}

function isNewer(a: SoundBackup, b: SoundBackup): boolean {
  if (a.timeline !== b.timeline) return a.timeline > b.timeline;
  const [revisionA, revisionB] = [a.manifest.snapshot.currentRevision, b.manifest.snapshot.currentRevision];
  return revisionA === revisionB ? a.id > b.id : revisionA > revisionB;
}

async function findLatest(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<FoundBackup> {
  const passedOver: DamagedBackup[] = [];
  for (const timeline of await timelinesOf(settings, cluster, signal)) {
    const places = await committed(settings, cluster, timeline, signal);
    for (const entry of (await readAll(settings, places, signal)).filter(isPresent)) {
      if (entry.state === 'sound') return { backup: entry, passedOver };
      passedOver.push(entry);
    }
  }
  throw passedOver[0]?.problem ?? notFound(settings, cluster, 'backup');
}

async function findById(
  settings: RepositorySettings,
  cluster: string,
  which: string,
  { includeRemoved = false, signal }: ListOptions,
): Promise<SoundBackup> {
  const places: BackupPlace[] = [];
  for (const timeline of await timelinesOf(settings, cluster, signal)) {
    const found = await committed(settings, cluster, timeline, signal);
    places.push(...found.filter(({ id }) => which !== '' && id.startsWith(which)));
  }
  const [place, another] = places;
  if (place === undefined) throw notFound(settings, cluster, `backup ${JSON.stringify(which)}`);
  if (another !== undefined) throw ambiguous(cluster, which, places);
  const [entry] = await readAll(settings, [place], signal);
  if (entry === undefined) throw notFound(settings, cluster, `backup ${place.id}`);
  if (!isPresent(entry) && !includeRemoved) throw removed(entry);
  if (entry.state === 'damaged') throw entry.problem;
  return entry;
}

function isPresent({ removal }: BackupEntry): boolean {
  return removal === undefined;
}

/** Their names, newest first. */
export async function timelinesOf(
  { store }: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  checkClusterName(cluster);
  const timelines: string[] = [];
  for await (const timeline of listFolders(store, timelinesFolder(cluster), signal)) timelines.push(timeline);
  return timelines.reverse();
}

/** Backups of a timeline that have a manifest, newest first by id. */
async function committed(
  { store }: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<BackupPlace[]> {
  const places: BackupPlace[] = [];
  for await (const chain of listChains(store, cluster, timeline, signal)) {
    if (chain.committed) places.push(chain.place);
  }
  return places.reverse();
}

/** Reads backups of one timeline. */
async function readAll(
  settings: RepositorySettings,
  places: readonly BackupPlace[],
  signal: AbortSignal | undefined,
): Promise<BackupEntry[]> {
  const [first] = places;
  if (first === undefined) return [];
  const marks = await listRemovalMarks(settings, first.cluster, first.timeline, signal);
  const read = (place: BackupPlace): Promise<BackupEntry> =>
    readBackup(settings, place, marks.get(place.id) ?? [], signal);
  const entries: BackupEntry[] = [];
  for await (const entry of orderedAhead(places, READS_AT_ONCE, read)) entries.push(entry);
  return newestFirst(entries);
}

/**
 * Ids follow the clocks of whoever made the backups; revisions don't lie. So the sound ones are put in the order of
 * their revisions, among damaged ones that stay where their ids put them.
 */
function newestFirst(entries: readonly BackupEntry[]): BackupEntry[] {
  const sound = entries.filter((entry) => entry.state === 'sound').sort((a, b) => (isNewer(a, b) ? -1 : 1));
  return entries.map((entry) => (entry.state === 'sound' ? (sound.shift() ?? entry) : entry));
}

const READS_AT_ONCE = 8;

function notFound({ store }: RepositorySettings, cluster: string, what: string): GuardianError {
  return new GuardianError('repository.not-found', `no ${what} of cluster ${cluster} in ${store.location}`, {
    hint: 'See what there is with `etcdguardian backup list`; check --cluster and the prefix of --store.',
  });
}

function ambiguous(cluster: string, which: string, places: readonly BackupPlace[]): GuardianError {
  const ids = places.slice(0, 5).map(({ id }) => id);
  return new GuardianError(
    'repository.ambiguous',
    `${places.length} backups of ${cluster} begin with ${which}`,
    {
      hint: `Give more of its id: ${ids.join(', ')}${places.length > ids.length ? ', …' : ''}.`,
    },
  );
}

function removed({ id, removal }: BackupEntry): GuardianError {
  const [when, until] = [removal?.removedAt.toISOString(), removal?.deleteAfter.toISOString()];
  return new GuardianError('repository.removed', `backup ${id} was removed at ${when} by ${removal?.by}`, {
    hint:
      removal?.swept === true
        ? 'Its data is being deleted, or already is.'
        : `Until a sweep after ${until} it can be had back with \`etcdguardian backup undelete\`.`,
  });
}
