import { GuardianError, hasCode } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import { timeOfBackupId } from './backup-id.ts';
import { chainFolder, manifestName, namespaceManifestName, parseName } from './layout.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { readManifest } from './read-backup.ts';
import { readNamespaceManifest } from './read-namespace-manifest.ts';
import { listRemovalMarks, markRemoval, readRemoval, type RemovalState } from './removals.ts';
import type { BackupPlace, RepositorySettings, SweepOptions, SweepReport } from './repository.ts';
import { TrimSweep } from './sweep-trims.ts';

const HOUR_MS = 60 * 60 * 1000;

/** Remains of a backup that has no manifest are deleted when all of them are older. */
const REMAINS_MS = 24 * HOUR_MS;

/** A thousand segments one by one would take their time. */
const DELETES_AT_ONCE = 8;

/** A backup is not committed later than this after its last object was put, so that no sweep can be at it. */
export const COMMIT_WITHIN_MS = 20 * HOUR_MS;

/** See `Repository.sweep`. */
export async function sweep(settings: RepositorySettings, options: SweepOptions = {}): Promise<SweepReport> {
  const { store, clock } = settings;
  const { signal, dryRun = false } = options;
  const sweeper = new Sweeper(settings, options);
  for await (const object of store.list('', { signal })) await sweeper.see(object);
  await sweeper.finishChain();
  const olderThan = new Date(clock().getTime() - REMAINS_MS);
  const abortedUploads = dryRun ? 0 : await store.sweepStaleUploads(olderThan, { signal });
  const { deleted, refused, unknown } = sweeper;
  return { deleted, refused, unknown, abortedUploads };
}

interface Chain {
  readonly place: BackupPlace;
  /** The manifest's name: a backup of the cluster and one of namespaces go the same way. */
  readonly manifest: string;
  /** Base, attachments or parts, manifest. Segments are no part of a backup: other bases need them too. */
  readonly objects: StoredObject[];
  /** With them it had a manifest once, whatever became of it. They go by trims only. */
  readonly segments: { readonly object: StoredObject; readonly follows: bigint }[];
}

/** Sees every object once, in the order of names, so that those of one chain come together. */
class Sweeper {
  readonly #settings: RepositorySettings;
  readonly #options: SweepOptions;
  readonly deleted: { name: string; size: number; reason: string }[] = [];
  readonly refused: { name: string; problem: GuardianError }[] = [];
  readonly unknown: string[] = [];
  readonly #trims: TrimSweep;
  #chain: Chain | undefined;
  #trimmedChain: string | undefined;
  #marks: { readonly timeline: string; readonly byId: Map<string, StoredObject[]> } | undefined;

  constructor(settings: RepositorySettings, options: SweepOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#trims = new TrimSweep(settings, options);
  }

  async see(object: StoredObject): Promise<void> {
    const named = parseName(object.name);
    if (named === undefined) this.unknown.push(object.name);
    if (named?.kind === 'probe' && this.#isOld(object.modifiedAt)) {
      await this.#delete(object, 'left over from trying what the store can do');
    }
    if (named?.kind === 'trim') await this.#sweepTrims(named.place);
    if (named === undefined || !('place' in named) || named.kind === 'removal' || named.kind === 'trim')
      return;
    const isOfNamespaces = named.kind === 'namespace-manifest' || named.kind === 'namespace-part';
    const manifest = isOfNamespaces ? namespaceManifestName(named.place) : manifestName(named.place);
    if (this.#chain?.manifest !== manifest) {
      await this.finishChain();
      this.#chain = { place: named.place, manifest, objects: [], segments: [] };
    }
    if (named.kind === 'segment') this.#chain.segments.push({ object, follows: named.follows });
    else this.#chain.objects.push(object);
  }

  async finishChain(): Promise<void> {
    const chain = this.#chain;
    this.#chain = undefined;
    if (chain === undefined) return;
    await this.#sweepSegments(chain);
    if (chain.objects.length === 0) return;
    const removal = await this.#removalOf(chain.place);
    const committed = chain.objects.some(({ name }) => name === chain.manifest);
    if (committed || removal.removal?.swept === true) await this.#sweepRemoved(chain, removal);
    else if (chain.segments.length === 0) await this.#sweepRemains(chain);
  }

  async #sweepSegments({ place, segments }: Chain): Promise<void> {
    if (segments.length === 0) return;
    const due = await this.#trims.due(place, segments);
    const tried = orderedAhead(due, DELETES_AT_ONCE - 1, ({ object, reason }) => this.#try(object, reason));
    for await (const tell of tried) tell();
  }

  /** Once for each chain, at its first document. */
  async #sweepTrims(chain: BackupPlace): Promise<void> {
    const folder = chainFolder(chain);
    if (this.#trimmedChain === folder) return;
    this.#trimmedChain = folder;
    for (const object of await this.#trims.superseded(chain)) {
      if (this.#isOld(object.modifiedAt)) await this.#delete(object, 'later trims say the same');
    }
  }

  async #sweepRemoved(chain: Chain, { removal }: RemovalState): Promise<void> {
    const { clock, tool } = this.#settings;
    const { signal, dryRun = false } = this.#options;
    if (removal === undefined) return;
    if (!removal.swept) {
      if (clock() < removal.deleteAfter || (await this.#isRetained(chain))) return;
      const fenced =
        dryRun ||
        (await markRemoval(this.#settings, chain.place, 'sweep', { by: tool }, isRemovedStill, signal)) !==
          undefined;
      if (!fenced) return;
    }
    await this.#deleteChain(chain, `removed ${removal.removedAt.toISOString()} by ${removal.by}`);
  }

  async #sweepRemains(chain: Chain): Promise<void> {
    const times = [timeOfBackupId(chain.place.id), ...chain.objects.map(({ modifiedAt }) => modifiedAt)];
    if (!times.every((time) => this.#isOld(time))) return;
    try {
      // Once more: since it was listed, it may have been committed.
      await this.#settings.store.stat(chain.manifest, { signal: this.#options.signal });
    } catch (error) {
      if (!hasCode(error, 'store.not-found')) throw error;
      await this.#deleteChain(chain, 'remains of a backup that was never committed');
    }
  }

  #isOld(time: Date): boolean {
    return this.#settings.clock().getTime() - time.getTime() >= REMAINS_MS;
  }

  /** Data first, the manifest last and only when all data went: what is refused stays known. */
  async #deleteChain({ manifest: manifestName, objects }: Chain, reason: string): Promise<void> {
    const manifest = objects.find(({ name }) => name === manifestName);
    let allGone = true;
    for (const object of objects) {
      if (object !== manifest && !(await this.#delete(object, reason))) allGone = false;
    }
    if (manifest !== undefined && allGone) await this.#delete(manifest, reason);
  }

  /** Resolves to whether the store did it. */
  async #delete(object: StoredObject, reason: string): Promise<boolean> {
    return (await this.#try(object, reason))();
  }

  /** Resolves to what puts the outcome into the report, so that those of several at once come in order. */
  async #try({ name, size }: StoredObject, reason: string): Promise<() => boolean> {
    const { signal, dryRun = false } = this.#options;
    try {
      if (!dryRun) await this.#settings.store.delete(name, { signal });
      return () => this.deleted.push({ name, size, reason }) > 0;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GuardianError)) throw error;
      return () => this.refused.push({ name, problem: error }) === 0;
    }
  }

  async #isRetained({ place, manifest }: Chain): Promise<boolean> {
    const read = manifest === namespaceManifestName(place) ? readNamespaceManifest : readManifest;
    try {
      const { value } = await read(this.#settings, place, this.#options.signal);
      return value.retainUntil !== undefined && value.retainUntil > this.#settings.clock();
    } catch (error) {
      if (!(error instanceof GuardianError) || error.retryable) throw error;
      return false;
    }
  }

  async #removalOf(place: BackupPlace): Promise<RemovalState> {
    const { signal } = this.#options;
    const timeline = `${place.cluster}/${place.timeline}`;
    if (this.#marks?.timeline !== timeline) {
      const byId = await listRemovalMarks(this.#settings, place.cluster, place.timeline, signal);
      this.#marks = { timeline, byId };
    }
    return readRemoval(this.#settings, this.#marks.byId.get(place.id) ?? [], signal);
  }
}

function isRemovedStill({ removal }: RemovalState): boolean {
  return removal !== undefined && !removal.swept;
}
