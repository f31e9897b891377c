import { FastRandom } from './fast-random.ts';
import { KINDS, pickTable } from './kubernetes-kinds.ts';

export interface HistoryOptions {
  readonly seed: number | string;
  /** Bytes of the records that the file is to hold. */
  readonly bytes: number;
  /** How often an object is written again after it was created, on average. */
  readonly updatesPerKey: number;
  /** Only the newest tenth of the revisions keeps its history, as kube-apiserver's compactor would have it. */
  readonly compacted: boolean;
}

/** What happens to one object in one change. */
export const PUT = 0;
export const DELETE = 1;
/** Set beside it when the change belongs to the same revision as the one before it. */
export const SAME_REVISION = 2;

/** Leases of events that are alive at one time, and events that share one. */
const LIVE_LEASES = 40;
const EVENTS_PER_LEASE = 400;
/** Bytes of a record beside key and value: revision key, fields, page element. */
const RECORD_OVERHEAD = 60;
const NEWEST_SHARE = 0.1;

/**
 * What was done to which object, in order: the life of a cluster without the content of its objects. Everything is
 * written as numbers into flat arrays: some 10 bytes for each change, some 30 for each object.
 */
export class KubernetesHistory {
  readonly seed: number;
  changes = 0;
  /** Of each change: the object's number, what happened. */
  objects = new Uint32Array(1 << 16);
  actions = new Uint8Array(1 << 16);

  objectCount = 0;
  /** Of each object: its kind, bytes of its value, and its lease's number (from 1; 0 for none). */
  kinds = new Uint8Array(1 << 14);
  sizes = new Uint32Array(1 << 14);
  leases = new Uint32Array(1 << 14);
  /** Leases ever granted; those up to `expiredLeases` have expired. */
  leaseCount = 0;
  expiredLeases = 0;

  private alive = new Uint8Array(1 << 14);
  private readonly byKind: number[][] = KINDS.map(() => []);
  private readonly leaseObjects: number[][] = [];
  private readonly random: FastRandom;
  private readonly creations = pickTable(KINDS.map((kind) => kind.created));
  private readonly updates = pickTable(KINDS.map((kind) => kind.updated));
  private readonly deletions = pickTable(KINDS.map((kind) => kind.deleted));
  private totalBytes = 0;
  private liveBytes = 0;

  constructor(options: HistoryOptions) {
    this.random = new FastRandom(options.seed);
    this.seed = this.random.next();
    const updateShare = options.updatesPerKey / (1 + options.updatesPerKey);
    const heldBytes = (): number =>
      options.compacted ? this.liveBytes + NEWEST_SHARE * this.totalBytes : this.totalBytes;
    while (heldBytes() < options.bytes) this.step(updateShare);
  }

  /** The change that a compaction is made after; 0 for none. Never within a revision. */
  compactionPoint(compacted: boolean): number {
    if (!compacted) return 0;
    let point = Math.floor(this.changes * (1 - NEWEST_SHARE));
    while (point < this.changes && ((this.actions[point] ?? 0) & SAME_REVISION) !== 0) point++;
    return point;
  }

  private step(updateShare: number): void {
    const { random } = this;
    if (this.objectCount > 100 && random.fraction() < updateShare) {
      const object = this.someAlive(this.updates);
      if (object !== undefined) this.put(object);
    } else if (this.objectCount > 100 && random.below(14) === 0) {
      const object = this.someAlive(this.deletions);
      if (object !== undefined) this.delete(object, false);
    } else this.create(this.creations[random.below(1024)] ?? 0);
  }

  private create(kind: number): void {
    const object = this.objectCount++;
    if (object === this.kinds.length) {
      this.kinds = grown(this.kinds);
      this.sizes = grown(this.sizes);
      this.leases = grown(this.leases);
      this.alive = grown(this.alive);
    }
    const [median, spread, largest] = KINDS[kind]?.size ?? [0, 0, 0];
    this.kinds[object] = kind;
    this.sizes[object] = Math.min(largest, Math.round(median * Math.exp(spread * this.random.gauss())));
    this.byKind[kind]?.push(object);
    if (KINDS[kind]?.leased === true) this.lease(object);
    this.put(object);
  }

  private put(object: number): void {
    const bytes = (this.sizes[object] ?? 0) + RECORD_OVERHEAD;
    this.totalBytes += bytes;
    if (this.alive[object] === 0) this.liveBytes += bytes;
    this.alive[object] = 1;
    // Now and then one transaction changes several objects.
    this.change(object, this.random.below(64) === 0 ? PUT | SAME_REVISION : PUT);
  }

  private delete(object: number, sameRevision: boolean): void {
    this.alive[object] = 0;
    this.liveBytes -= (this.sizes[object] ?? 0) + RECORD_OVERHEAD;
    this.change(object, sameRevision ? DELETE | SAME_REVISION : DELETE);
  }

  private change(object: number, action: number): void {
    if (this.changes === this.objects.length) {
      this.objects = grown(this.objects);
      this.actions = grown(this.actions);
    }
    // A key changes at most once in a revision.
    const again = this.changes === 0 || this.inCurrentRevision(object);
    this.objects[this.changes] = object;
    this.actions[this.changes] = again ? action & ~SAME_REVISION : action;
    this.changes++;
  }

  private inCurrentRevision(object: number): boolean {
    for (let at = this.changes - 1; at >= 0; at--) {
      if (this.objects[at] === object) return true;
      if (((this.actions[at] ?? 0) & SAME_REVISION) === 0) return false;
    }
    return false;
  }

  private lease(object: number): void {
    const current = this.leaseObjects.at(-1);
    if (current === undefined || current.length >= EVENTS_PER_LEASE) {
      this.leaseObjects.push([object]);
      this.leaseCount++;
      if (this.leaseObjects.length > LIVE_LEASES) this.expire(this.leaseObjects.shift() ?? []);
    } else current.push(object);
    this.leases[object] = this.leaseCount;
  }

  /** All that a lease holds goes in one revision. */
  private expire(objects: readonly number[]): void {
    this.expiredLeases++;
    let sameRevision = false;
    for (const object of objects) {
      if (this.alive[object] === 0) continue;
      this.delete(object, sameRevision);
      sameRevision = true;
    }
  }

  private someAlive(table: Uint8Array): number | undefined {
    const objects = this.byKind[table[this.random.below(1024)] ?? 0] ?? [];
    if (objects.length === 0) return undefined;
    // The younger, the more likely: old objects rest.
    const age = Math.floor(objects.length * this.random.fraction() ** 3);
    const object = objects[objects.length - 1 - age] ?? 0;
    return this.alive[object] === 1 ? object : undefined;
  }
}

function grown<T extends Uint8Array | Uint32Array>(old: T): T {
  const larger = old instanceof Uint8Array ? new Uint8Array(2 * old.length) : new Uint32Array(2 * old.length);
  larger.set(old);
  return larger as T;
}
