import { GuardianError } from '../guardian-error.ts';
import type { ChainTail } from './chain.ts';
import { chainProblem, withTails } from './chain-freshness.ts';
import {
  type Known,
  type KnownChain,
  type KnownPoint,
  type KnownStore,
  readKnownClusters,
  readKnownPoints,
  writeKnownPoints,
} from './known-points.ts';
import type {
  BackupEntry,
  BackupPlace,
  CallOptions,
  DamagedBackup,
  Removal,
  Repository,
  SoundBackup,
} from './repository.ts';

/** What a machine remembers of a store, outside of it. */
export interface StoreMemory {
  /** The file that it is kept in. */
  readonly path: string;
  /** Tells the store from every other one; see `storeIdentity`. */
  readonly identity: string;
}

export interface FreshnessOptions extends StoreMemory, CallOptions {
  /** Take what the store shows for the truth from now on, whatever was known. */
  readonly acceptOlder?: boolean | undefined;
}

/**
 * Compares what the store shows of a cluster with what this machine has seen there before, and remembers what is new.
 * Rejects with `repository.rolled-back` when a backup that was there is gone without a trusted removal, has another
 * manifest, or is back after it was removed, or when the newest segment that was seen of a chain is gone without a
 * trusted trim; with `signature.untrusted` or `signature.missing` when a known one isn't
 * signed by whom the given keys trust: then they may be the wrong keys. Nothing is remembered then. Resolves to what
 * the store shows, removed backups included.
 *
 * A machine that never saw the store learns what is there now and can't tell (docs/format.md, "What can't be seen").
 */
export async function checkFreshness(
  repository: Repository,
  cluster: string,
  { path, identity, acceptOlder = false, signal }: FreshnessOptions,
): Promise<BackupEntry[]> {
  const store = knownStore(repository, identity);
  const { points: known, chains } = await readKnownPoints(path, store, cluster);
  const shown = await repository.listBackups(cluster, { includeRemoved: true, signal });
  const gone = await removalsOfGone(repository, cluster, known, shown, signal);
  const problem =
    problemWith(repository, known, shown, gone) ??
    (await chainProblemOf(repository, cluster, chains, shown, signal));
  if (problem !== undefined && !acceptOlder) throw problem;
  const still = known.map((point) => {
    const removal = gone.get(placeOf(point));
    return removal === undefined ? point : { ...point, removed: true, lastMark: removal.mark };
  });
  const tails = await repository.segments.tails(cluster, { signal });
  const ends = await withTails(repository, cluster, acceptOlder ? [] : chains, tails, signal);
  await remember(path, store, cluster, { points: acceptOlder ? [] : still, chains: ends }, shown);
  return shown;
}

/**
 * What `checkFreshness` would reject with, for whoever only looks: nothing is remembered. Undefined when the store shows
 * all that this machine has seen. Rejects as `checkFreshness` does for other reasons.
 */
export async function findStaleness(
  repository: Repository,
  cluster: string,
  { path, identity, signal }: StoreMemory & CallOptions,
): Promise<GuardianError | undefined> {
  const { points: known, chains } = await readKnownPoints(path, knownStore(repository, identity), cluster);
  if (known.length === 0) return undefined;
  const shown = await repository.listBackups(cluster, { includeRemoved: true, signal });
  const gone = await removalsOfGone(repository, cluster, known, shown, signal);
  return (
    problemWith(repository, known, shown, gone) ??
    (await chainProblemOf(repository, cluster, chains, shown, signal))
  );
}

/** The clusters whose backups this machine has seen in the store; the store may not show them any more. */
export async function seenClusters(repository: Repository, memory: StoreMemory): Promise<string[]> {
  return readKnownClusters(memory.path, knownStore(repository, memory.identity));
}

/** Remembers a backup that this machine has just made or seen. */
export async function rememberBackup(
  repository: Repository,
  backup: SoundBackup,
  { path, identity }: StoreMemory,
): Promise<void> {
  const store = knownStore(repository, identity);
  const known = await readKnownPoints(path, store, backup.cluster);
  const ours = known.certain || (await areShown(repository, backup.cluster, known.points));
  await remember(path, store, backup.cluster, ours ? known : NOTHING, [backup]);
}

/** Remembers how far a chain reaches that this machine has just continued. Does nothing while it has no segment. */
export async function rememberTail(
  repository: Repository,
  tail: ChainTail,
  { path, identity }: StoreMemory,
): Promise<void> {
  const store = knownStore(repository, identity);
  const known = await readKnownPoints(path, store, tail.cluster);
  const ours = known.certain || (await areShown(repository, tail.cluster, known.points));
  const { points, chains } = ours ? known : NOTHING;
  const ends = await withTails(repository, tail.cluster, chains, [tail], undefined);
  await remember(path, store, tail.cluster, { points, chains: ends }, []);
}

const NOTHING = { points: [], chains: [] };

async function areShown(
  repository: Repository,
  cluster: string,
  points: readonly KnownPoint[],
): Promise<boolean> {
  if (points.length === 0) return true;
  const shown = await repository.listBackups(cluster, { includeRemoved: true });
  return shown.some((entry) => points.some((point) => isPoint(entry, point)));
}

function knownStore({ location }: Repository, identity: string): KnownStore {
  return { identity, location };
}

async function removalsOfGone(
  repository: Repository,
  cluster: string,
  known: readonly KnownPoint[],
  shown: readonly BackupEntry[],
  signal: AbortSignal | undefined,
): Promise<Map<string, Removal>> {
  const gone = new Map<string, Removal>();
  for (const point of known.filter((one) => !shown.some((entry) => isPoint(entry, one)))) {
    const removal = await repository.removalOf({ cluster, ...point }, { signal });
    if (removal !== undefined) gone.set(placeOf(point), removal);
  }
  return gone;
}

async function chainProblemOf(
  repository: Repository,
  cluster: string,
  known: readonly KnownChain[],
  shown: readonly BackupEntry[],
  signal: AbortSignal | undefined,
): Promise<GuardianError | undefined> {
  const problem = await chainProblem(repository, cluster, known, shown, signal);
  return typeof problem === 'string' ? rolledBack(repository.location, problem) : problem;
}

function problemWith(
  { location }: Repository,
  known: readonly KnownPoint[],
  shown: readonly BackupEntry[],
  gone: ReadonlyMap<string, Removal>,
): GuardianError | undefined {
  const contradiction = contradictionOf(known, shown, gone);
  if (contradiction === undefined) return undefined;
  const untrusted = untrustedPoint(known, shown);
  return untrusted === undefined ? rolledBack(location, contradiction) : seenUntrusted(untrusted);
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
  store: KnownStore,
  cluster: string,
  known: Pick<Known, 'points' | 'chains'>,
  shown: readonly BackupEntry[],
): Promise<void> {
  const points = new Map(known.points.map((point) => [placeOf(point), point]));
  for (const entry of shown) {
    if (entry.state === 'sound') points.set(placeOf(entry), pointOf(entry));
  }
  const newest = [...points.values()]
    .sort((a, b) => (placeOf(a) < placeOf(b) ? 1 : -1))
    .slice(0, MOST_POINTS);
  await writeKnownPoints(path, store, cluster, { points: newest, chains: known.chains });
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

function seenUntrusted({ id, problem }: DamagedBackup): GuardianError {
  return new GuardianError(problem.code, problem.message, {
    hint: `${problem.hint ?? ''} This machine has made or seen backup ${id} before; if you know who wrote it, --allow-older goes on without it.`,
    cause: problem.cause,
  });
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
