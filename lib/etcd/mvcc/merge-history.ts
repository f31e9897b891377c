import { GuardianError } from '../../guardian-error.ts';
import { type BucketEdit, editBoltFile } from '../bolt/editor.ts';
import { type EntryBatch, keyOf, sliceOf, valueOf } from '../bolt/entry-batch.ts';
import { type BoltFile, openBoltFile } from '../bolt/reader.ts';
import { decodeLease } from './lease.ts';
import { type LeaseChange, LeaseTable } from './lease-table.ts';
import { type LeasedKeys, LeasedKeyTable } from './leased-keys.ts';
import { RecordCursor } from './record-cursor.ts';

/** What the verification of a base found. */
export interface MergeBase {
  readonly currentRevision: bigint;
  readonly leasedKeys: LeasedKeys;
}

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
  /** The revision that was merged last. */
  readonly onProgress?: ((revision: number) => void) | undefined;
}

/** So long a lease lives that a live key names but whose TTL nobody learnt: it was gone before it could be asked. */
const UNKNOWN_TTL_SECONDS = 60n;

/**
 * Turns the database of a base into what the member's was at a later revision, in place: the changes since are appended
 * to bucket `key`, byte for byte as etcd stores them, and bucket `lease` is made anew. All history that the base has is
 * kept, and so are its marks of compaction, of one that was not finished too. Costs what it appends, and memory of some
 * 40 bytes for each live key under a lease. A sha256 trailer is cut off unless nothing changes.
 *
 * Leases are those known to be there and those that live keys name; a lease is granted anew for its whole TTL, as etcd
 * does itself when a leader is elected. Keys whose lease is not even in the base never expired, and don't after this.
 *
 * Rejects with `merge.gap` where a change is missing, and as `editBoltFile` does; the file is then to be thrown away.
 */
export async function mergeHistory(
  path: string,
  base: MergeBase,
  { revision, entries, leases }: LaterHistory,
  { clearAlarms = false, signal, onProgress }: MergeOptions = {},
): Promise<void> {
  const edits = new Map<string, BucketEdit>();
  if (clearAlarms && (await hasAlarms(path))) edits.set('alarm', { replace: [] });
  if (revision > base.currentRevision) {
    const table = await readLeases(path);
    const orphans = new Set<bigint>();
    const leased = new LeasedKeyTable(base.leasedKeys);
    for (const id of leased.leases()) if (!table.knows(id)) orphans.add(id);

    // Buckets are written in the order of their names: the keys are done when the leases are asked for.
    const merging = new Merging(path, base.currentRevision, revision, leased, onProgress);
    edits.set('key', { append: merging.changes(entries) });
    edits.set('lease', { replace: leasesThere(table, leases, leased, orphans) });
  }
  if (edits.size > 0) await editBoltFile(path, edits, signal);
}

async function hasAlarms(path: string): Promise<boolean> {
  await using file = await openBoltFile(path);
  return (await file.lastKey('alarm')) !== undefined;
}

async function readLeases(path: string): Promise<LeaseTable> {
  await using file = await openBoltFile(path);
  const table = new LeaseTable();
  for await (const batch of file.entries('lease')) {
    for (let index = 0; index < batch.count; index++) {
      const lease = decodeLease(valueOf(batch, index));
      if (lease === undefined) throw notALease(file, keyOf(batch, index));
      table.grant(lease.id, lease.ttlSeconds);
    }
  }
  return table;
}

function* leasesThere(
  table: LeaseTable,
  changes: Iterable<LeaseChange>,
  leased: LeasedKeyTable,
  orphans: ReadonlySet<bigint>,
): Generator<EntryBatch, void> {
  for (const change of changes) table.apply(change);
  for (const id of leased.leases()) {
    if (table.knows(id) || !orphans.has(id)) table.name(id, UNKNOWN_TTL_SECONDS);
  }
  yield* table.entries();
}

/** The changes between two revisions, checked to be all of them. */
class Merging {
  private readonly record: RecordCursor;
  private readonly after: number;
  private readonly until: number;
  private readonly leased: LeasedKeyTable;
  private readonly onProgress: ((revision: number) => void) | undefined;
  private main: number;
  private sub = 0;

  constructor(
    path: string,
    after: bigint,
    until: bigint,
    leased: LeasedKeyTable,
    onProgress: ((revision: number) => void) | undefined,
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
      this.onProgress?.(this.main);
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

function notALease({ path }: BoltFile, key: Buffer): GuardianError {
  return new GuardianError(
    'mvcc.corrupt',
    `${path}: ${key.toString('hex', 0, 40)} in bucket lease is no lease`,
    {
      hint: 'Use another snapshot, or another member of the same cluster.',
    },
  );
}
