import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { makeFolders } from '../make-folders.ts';
import { FORMAT_VERSION } from './document.ts';
import { decimal64, instant, sha256Hex } from './wire.ts';

/** A backup that this machine has seen in a store. */
const knownPoint = z.object({
  timeline: z.string(),
  id: z.string(),
  revision: decimal64,
  completedAt: instant,
  manifestSha256: sha256Hex,
  removed: z.boolean(),
  /** The last trusted mark of removing or undeleting it; see `BackupEntry`. */
  lastMark: z.int().min(0),
});

export type KnownPoint = Readonly<z.output<typeof knownPoint>>;

/** The newest segment of a chain that this machine has seen. */
const knownChain = z.object({
  timeline: z.string(),
  /** The chain's. */
  id: z.string(),
  /** The revision in its name. */
  follows: decimal64,
  to: decimal64,
  /** Of its head. */
  sha256: sha256Hex,
  /** The last trusted trim of the chain; 0: none. */
  lastTrim: z.int().min(0),
});

export type KnownChain = Readonly<z.output<typeof knownChain>>;

const fileSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  /** By the store's identity (its location, in files from before there were identities) and name of the cluster. */
  clusters: z.array(
    z.object({
      location: z.string(),
      cluster: z.string(),
      points: z.array(knownPoint),
      /** Absent in files from before there were segments. */
      chains: z.array(knownChain).optional(),
    }),
  ),
});

type KnownPoints = z.output<typeof fileSchema>;
type KnownCluster = KnownPoints['clusters'][number];

/** A store as this machine remembers it. */
export interface KnownStore {
  /** See `storeIdentity`. */
  readonly identity: string;
  /** What it was remembered by before, which another store may share. */
  readonly location: string;
}

/**
 * What this machine knows of a cluster's backups and chains in a store, newest first; empty when it knows nothing yet. Kept
 * outside the store, so that whoever can write the store can't take it back. Rejects with `repository.known-points`
 * when the file can't be read: that must not pass for knowing nothing.
 */
export async function readKnownPoints(path: string, store: KnownStore, cluster: string): Promise<Known> {
  const { clusters } = await readFileAt(path);
  const entryOf = (name: string): KnownCluster | undefined =>
    clusters.find((entry) => entry.location === name && entry.cluster === cluster);
  const own = entryOf(store.identity);
  const { points = [], chains = [] } = own ?? entryOf(store.location) ?? {};
  return { points, chains, certain: own !== undefined };
}

export interface Known {
  readonly points: readonly KnownPoint[];
  readonly chains: readonly KnownChain[];
  /** False when they were remembered by location alone, so that they may be another store's. */
  readonly certain: boolean;
}

/** The clusters whose backups this machine has seen in a store. */
export async function readKnownClusters(path: string, { identity, location }: KnownStore): Promise<string[]> {
  const { clusters } = await readFileAt(path);
  const known = clusters.filter((entry) => entry.location === identity || entry.location === location);
  return [...new Set(known.map(({ cluster }) => cluster))];
}

/**
 * Replaces what is known of one cluster. The file (mode 0600) is whole at any time; of two processes that write at
 * once, one's news are kept, and the other's are seen again with its next list.
 *
 * What was remembered by location alone goes once it is known to be of this store; else it may be of another one.
 */
export async function writeKnownPoints(
  path: string,
  { identity, location }: KnownStore,
  cluster: string,
  { points, chains }: Pick<Known, 'points' | 'chains'>,
): Promise<void> {
  const { clusters } = await readFileAt(path);
  const seen = new Set(points.map(({ manifestSha256 }) => manifestSha256));
  const stays = (entry: KnownCluster): boolean => {
    if (entry.cluster !== cluster || entry.location === identity) return entry.cluster !== cluster;
    return (
      entry.location !== location || !entry.points.some(({ manifestSha256 }) => seen.has(manifestSha256))
    );
  };
  const entry = { location: identity, cluster, points: [...points], chains: [...chains] };
  const next = { formatVersion: FORMAT_VERSION, clusters: [...clusters.filter(stays), entry] };
  const content = z.encode(fileSchema, next);
  try {
    const text = `${JSON.stringify(content, undefined, 1)}\n`;
    if (text !== (await textAt(path))) await replaceFile(path, text);
  } catch (error) {
    throw unusable(path, error, 'Make its folder writable, or name another file.');
  }
}

async function readFileAt(path: string): Promise<KnownPoints> {
  const text = await textAt(path);
  if (text === undefined) return { formatVersion: FORMAT_VERSION, clusters: [] };
  try {
    // What comes from a file is `unknown` until the schema has seen it.
    return z.decode(fileSchema, JSON.parse(text) as z.input<typeof fileSchema>);
  } catch (error) {
    throw unusable(
      path,
      error,
      'Move it away to begin anew; older points are then no longer known to this machine.',
    );
  }
}

async function textAt(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw unusable(path, error, 'Make it readable, or name another file.');
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  await makeFolders(dirname(path), 0o700);
  const part = `${path}.${randomUUID()}.part`;
  try {
    const file = await open(part, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function unusable(path: string, error: unknown, hint: string): GuardianError {
  const message = `the record of known backups, ${path}, can't be used: ${reasonOf(error)}`;
  return new GuardianError('repository.known-points', message, { hint, cause: error });
}
