import { GuardianError } from '../guardian-error.ts';
import { type KnownPoint, readKnownPoints, writeKnownPoints } from './known-points.ts';
import {
  type BackupEntry,
  type BackupPlace,
  type CallOptions,
  type DamagedBackup,
  type Removal,
  type Repository,
  type SoundBackup,
} from './repository.ts';

export interface FreshnessOptions extends CallOptions {
  /** Where this machine keeps what it knows. */
  readonly path: string;
  /** Take what the store shows for the truth from now on, whatever was known. */
  readonly acceptOlder?: boolean | undefined;
}

/**
 * Compares what the store shows of a cluster with what this machine has seen there before, and remembers what is new.
 * Rejects with `repository.rolled-back` when a backup that was there is gone without a trusted removal, has another
 * manifest, or is back after it was removed; with `signature.untrusted` or `signature.missing` when a known one isn't
 * signed by whom the given keys trust: then they may be the wrong keys. Nothing is remembered then. Resolves to what
 * the store shows, removed backups included.
 *
 * A machine that never saw the store learns what is there now and can't tell (docs/format.md, "What can't be seen").
 */
export async function checkFreshness(
  repository: Repository,
  cluster: string,
  { path, acceptOlder = false, signal }: FreshnessOptions,
): Promise<BackupEntry[]> {
  const known = await readKnownPoints(path, repository.location, cluster);
  const shown = await repository.listBackups(cluster, { includeRemoved: true, signal });
  const gone = new Map<string, Removal>();
  for (const point of known.filter((one) => !shown.some((entry) => isPoint(entry, one)))) {
    const removal = await repository.removalOf({ cluster, ...point }, { signal });
    if (removal !== undefined) gone.set(placeOf(point), removal);
  }
  const contradiction = contradictionOf(known, shown, gone);
  if (contradiction !== undefined && !acceptOlder) {
    throw untrustedPoint(known, shown)?.problem ?? rolledBack(repository.location, contradiction);
  }
  const still = known.map((point) => {
    const removal = gone.get(placeOf(point));
    return removal === undefined ? point : { ...point, removed: true, lastMark: removal.mark };
  });
  await remember(path, repository.location, cluster, acceptOlder ? [] : still, shown);
  return shown;
}

/** Remembers a backup that this machine has just made or seen. */
export async function rememberBackup(
  repository: Repository,
  backup: SoundBackup,
  path: string,
): Promise<void> {
  const known = await readKnownPoints(path, repository.location, backup.cluster);
  await remember(path, repository.location, backup.cluster, known, [backup]);
}

/** What of the known the store contradicts, in words; undefined when nothing. `gone`: trusted removals of what isn't shown. */
export function contradictionOf(
  known: readonly KnownPoint[],
  shown: readonly BackupEntry[],
  gone: ReadonlyMap<string, Removal>,
): string | undefined {
  for (const point of known) {
    const what = `backup ${point.id} (revision ${point.revision}, ${point.completedAt.toISOString()})`;
    const entry = shown.find((one) => isPoint(one, point));
    if (entry === undefined) {
      if (!point.removed && !gone.has(placeOf(point)))
        return `${what} is gone, and nobody trusted removed it`;
    } else if (entry.state === 'sound' && entry.manifestSha256 !== point.manifestSha256) {
      return `${what} has another manifest than before`;
    } else if (entry.state === 'damaged' && !point.removed && !isOlderUntrusted(entry, shown)) {
      return `${what} was sound and is not any more: ${entry.problem.message}`;
    } else if (entry.lastMark < point.lastMark) {
      return `of ${what} someone took marks of its removal away`;
    }
  }
  return undefined;
}

/**
 * A backup that these keys don't vouch for, as when it was made before there were keys, tells nothing once there is a
 * newer one that they do vouch for. `shown`: newest first.
 */
function isOlderUntrusted(entry: DamagedBackup, shown: readonly BackupEntry[]): boolean {
  if (!entry.problem.code.startsWith('signature.')) return false;
  return shown
    .slice(0, shown.indexOf(entry))
    .some(({ state, removal }) => state === 'sound' && removal === undefined);
}

function untrustedPoint(
  known: readonly KnownPoint[],
  shown: readonly BackupEntry[],
): DamagedBackup | undefined {
  return shown.find(
    (entry): entry is DamagedBackup =>
      entry.state === 'damaged' &&
      entry.problem.code.startsWith('signature.') &&
      known.some((point) => isPoint(entry, point)),
  );
}

/** As many are remembered of each cluster: the newest ones, which are what a rollback is about. */
const MOST_POINTS = 100;

async function remember(
  path: string,
  location: string,
  cluster: string,
  known: readonly KnownPoint[],
  shown: readonly BackupEntry[],
): Promise<void> {
  const points = new Map(known.map((point) => [placeOf(point), point]));
  for (const entry of shown) {
    if (entry.state === 'sound') points.set(placeOf(entry), pointOf(entry));
  }
  const newest = [...points.values()]
    .sort((a, b) => (placeOf(a) < placeOf(b) ? 1 : -1))
    .slice(0, MOST_POINTS);
  await writeKnownPoints(path, location, cluster, newest);
}

function pointOf({ timeline, id, manifest, manifestSha256, removal, lastMark }: SoundBackup): KnownPoint {
  const { snapshot, completedAt } = manifest;
  const removed = removal !== undefined;
  return { timeline, id, revision: snapshot.currentRevision, completedAt, manifestSha256, removed, lastMark };
}

type PointName = Pick<BackupPlace, 'timeline' | 'id'>;

function placeOf({ timeline, id }: PointName): string {
  return `${timeline}/${id}`;
}

function isPoint(entry: PointName, point: PointName): boolean {
  return placeOf(entry) === placeOf(point);
}

function rolledBack(location: string, contradiction: string): GuardianError {
  return new GuardianError(
    'repository.rolled-back',
    `${location} is older than this machine knows it: ${contradiction}`,
    {
      hint: 'Someone who can write the store may have put an older state back. If you know why it is so, accept it with --allow-older.',
    },
  );
}
