import { GuardianError } from '../../guardian-error.ts';
import { type BucketEdit, editBoltFile } from '../bolt/editor.ts';
import { type EntryBatch, keyOf, sliceOf, valueOf } from '../bolt/entry-batch.ts';
import { type BoltFile, openBoltFile } from '../bolt/reader.ts';
import { decodeLease } from './lease.ts';
import { type LeaseChange, LeaseTable } from './lease-table.ts';
import { LeasedKeys } from './leased-keys.ts';
import { RecordCursor } from './record-cursor.ts';
import { readStoreRevisions } from './store-revisions.ts';

/** What happened after a base was taken. */
export interface LaterHistory {
  /** Where to stop: a revision that is in `entries`, or the base's own. */
  readonly revision: bigint;
  /**
   * As they belong into bucket `key`, in order and without a gap. They may begin before the base's revision and go on
   * behind `revision`; they are read to their end in any case, for their own checks.
   */
  readonly entries: Iterable<EntryBatch> | AsyncIterable<EntryBatch>;
  /** What became known of leases up to there, in order; asked for when all entries were read. */
  readonly leases: Iterable<LeaseChange>;
}

export interface MergeOptions {
  /** Default false: alarms are those of the base. */
  readonly clearAlarms?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Revisions that were merged, and that are to be. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * So long a lease lives that a live key names but whose TTL nobody learnt, because it was gone, or etcd without quorum,
 * before it could be asked. As long as API servers grant for events: a key that outlives its owner by an hour does less
 * harm than a live one that dies before its owner's next keep-alive.
 */
const UNKNOWN_TTL_SECONDS = 3600n;

/**
 * Turns the database of a base into what the member's was at a later revision, in place: the changes since are appended
 * to bucket `key`, byte for byte as etcd stores them, and bucket `lease` is made anew. All history that the base has is
 * kept, and so are its marks of compaction, of one that was not finished too. The base is read through once, to know
 * which keys are under leases; memory is some 60 bytes for each of those. A sha256 trailer is cut off unless nothing
 * changes.
 *
 * Leases are those known to be there and those that live keys name; a lease is granted anew for its whole TTL, as etcd
 * does itself when a leader is elected. Keys whose lease is not even in the base never expired, and don't after this.
 *
 * Rejects with `merge.gap` where a change is missing or the base is behind the revision, `mvcc.corrupt`, and as
 * `openBoltFile` and `editBoltFile` do; the file is then to be thrown away.
 */
export async function mergeHistory(
  path: string,
  { revision, entries, leases }: LaterHistory,
  { clearAlarms = false, signal, onProgress }: MergeOptions = {},
): Promise<void> {
  const edits = new Map<string, BucketEdit>();
  const base = await readBase(path, revision, signal);
  if (clearAlarms && base.hasAlarms) edits.set('alarm', { replace: [] });
  if (revision > base.currentRevision) {
    // Buckets are written in the order of their names: the keys are done when the leases are asked for.
    const merging = new Merging(path, base.currentRevision, revision, base.leasedKeys, onProgress);
    edits.set('key', { append: merging.changes(entries) });
    edits.set('lease', { replace: leasesThere(base, leases) });
  }
  if (edits.size > 0) await editBoltFile(path, edits, signal);
}

/** What a merge needs to know of a base. */
interface Base {
  readonly currentRevision: bigint;
  readonly hasAlarms: boolean;
  readonly leases: LeaseTable;
  readonly leasedKeys: LeasedKeys;
  /** Leases that live keys name and that aren't there. */
  readonly orphans: ReadonlySet<bigint>;
}

async function readBase(path: string, revision: bigint, signal: AbortSignal | undefined): Promise<Base> {
  await using file = await openBoltFile(path);
  const { currentRevision } = await readStoreRevisions(file);
  if (currentRevision > revision) throw behind(path, currentRevision, revision);
  const leases = new LeaseTable();
  const leasedKeys = new LeasedKeys();
  const orphans = new Set<bigint>();
  if (currentRevision < revision) {
    await readLeases(file, leases);
    await readLeasedKeys(file, leasedKeys, signal);
    for (const id of leasedKeys.leases()) if (!leases.knows(id)) orphans.add(id);
  }
  const hasAlarms = (await file.lastKey('alarm')) !== undefined;
  return { currentRevision, hasAlarms, leases, leasedKeys, orphans };
}

async function readLeasedKeys(
  file: BoltFile,
  leasedKeys: LeasedKeys,
  signal: AbortSignal | undefined,
): Promise<void> {
  const record = new RecordCursor(file.path);
  for await (const batch of file.entries('key', { signal })) {
    for (let index = 0; index < batch.count; index++) {
      record.seek(batch, index);
      record.read();
      leasedKeys.take(record);
    }
  }
}

async function readLeases(file: BoltFile, table: LeaseTable): Promise<void> {
  for await (const batch of file.entries('lease')) {
    for (let index = 0; index < batch.count; index++) {
      const lease = decodeLease(valueOf(batch, index));
      if (lease === undefined) throw notALease(file, keyOf(batch, index));
      table.grant(lease.id, lease.ttlSeconds);
    }
  }
}

function* leasesThere(
  { leases, leasedKeys, orphans }: Base,
  changes: Iterable<LeaseChange>,
): Generator<EntryBatch, void> {
  for (const change of changes) leases.apply(change);
  for (const id of leasedKeys.leases()) {
    if (leases.knows(id) || !orphans.has(id)) leases.name(id, UNKNOWN_TTL_SECONDS);
  }
  yield* leases.entries();
}

/** The changes between two revisions, checked to be all of them. */
class Merging {
  private readonly record: RecordCursor;
  private readonly after: number;
  private readonly until: number;
  private readonly leased: LeasedKeys;
  private readonly onProgress: MergeOptions['onProgress'];
  private main: number;
  private sub = 0;

  constructor(
    path: string,
    after: bigint,
    until: bigint,
    leased: LeasedKeys,
    onProgress: MergeOptions['onProgress'],
  ) {
    this.record = new RecordCursor(`what follows ${path}`);
    this.after = Number(after);
    this.until = Number(until);
    this.main = this.after;
    this.leased = leased;
    this.onProgress = onProgress;
  }

  async *changes(
    entries: Iterable<EntryBatch> | AsyncIterable<EntryBatch>,
  ): AsyncGenerator<EntryBatch, void> {
    for await (const batch of entries) {
      const from = this.passOver(batch, 0, this.after);
      const to = this.take(batch, from);
      if (to > from) yield to - from === batch.count ? batch : sliceOf(batch, from, to);
      this.onProgress?.(this.main - this.after, this.until - this.after);
    }
    if (this.main !== this.until) throw this.gap(`it ends at ${this.main}`);
  }

  /** The first entry from `index` on that is above a revision. */
  private passOver(batch: EntryBatch, index: number, main: number): number {
    let at = index;
    for (; at < batch.count; at++) {
      this.record.seek(batch, at);
      if (this.record.main > main) break;
    }
    return at;
  }

  /** Where the entries end that are wanted. */
  private take(batch: EntryBatch, from: number): number {
    const { record } = this;
    for (let index = from; index < batch.count; index++) {
      record.seek(batch, index);
      if (record.main > this.until) return index;
      this.requireNext();
      record.read();
      this.leased.take(record);
    }
    return batch.count;
  }

  private requireNext(): void {
    const { main, sub } = this.record;
    const follows =
      main === this.main ? sub === this.sub + 1 && main > this.after : main === this.main + 1 && sub === 0;
    if (!follows) throw this.gap(`${this.main}.${this.sub} is followed by ${main}.${sub}`);
    this.main = main;
    this.sub = sub;
  }

  private gap(what: string): GuardianError {
    return new GuardianError(
      'merge.gap',
      `the history from revision ${this.after} to ${this.until} is not whole: ${what}`,
      { hint: 'Choose a revision before that, or a base behind it.' },
    );
  }
}

function behind(path: string, currentRevision: bigint, revision: bigint): GuardianError {
  return new GuardianError('merge.gap', `${path} is at revision ${currentRevision}, behind ${revision}`, {
    hint: 'Choose a base at or before that revision.',
  });
}

function notALease({ path }: BoltFile, key: Buffer): GuardianError {
  return new GuardianError(
    'mvcc.corrupt',
    `${path}: ${key.toString('hex', 0, 40)} in bucket lease is no lease`,
    {
      hint: 'Use another snapshot, or another member of the same cluster.',
    },
  );
}
