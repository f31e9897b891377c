import { Buffer } from 'node:buffer';
import { crc32c } from '../../etcd/crc32c.ts';
import type { PackedEvents } from '../../etcd/client/packed-events.ts';
import { REVISION_KEY_SIZE, TOMBSTONE_KEY_SIZE, writeRevisionKey } from '../../etcd/mvcc/revision.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { Anchor } from '../../repository/manifest.ts';
import { CaptureBreak } from './capture-break.ts';

/** An entry by which a history is recognised. */
export interface Mark extends Anchor {
  /** Old versions leave out deletions at the compacted revision: one that isn't shown says nothing. */
  readonly tombstone?: boolean;
}

export interface OrderStart {
  /** Everything up to this revision is there already. */
  readonly after: bigint;
  /** An entry at or before it, by which the history is recognised; undefined where nobody knows one. */
  readonly mark: Mark | undefined;
}

/**
 * Keeps the events of a watch of the whole key space, over any number of connections, in one unbroken order: each
 * exactly once, revisions without a hole. Revisions are numbers below 2^53.
 */
export class RevisionOrder {
  /** The last revision of which every event was accepted. */
  whole: number;
  /** Events of the revision behind it that were accepted so far. */
  private open = 0;
  /** How many of those this connection has still to repeat. */
  private repeated = 0;
  private mark: Mark | undefined;
  /** True until this connection has shown the entry that `mark` tells of. */
  private unrecognised = false;
  /** True when it has shown something else in that revision. */
  private contradicted = false;
  /** Of the last whole revision the last put, or else the last deletion; it becomes the mark when one is needed. */
  private last: Entry | undefined;
  /** Of the open one: a mark must lie before what another connection is to repeat. */
  private openLast: Entry | undefined;

  constructor({ after, mark }: OrderStart) {
    this.whole = Number(after);
    this.mark = mark;
  }

  /** An entry by which this history is recognised: the last whole revision's, or what it began with. */
  recognisedBy(): Mark | undefined {
    if (this.last !== undefined) {
      this.mark = markOf(this.last);
      this.last = undefined;
    }
    return this.mark;
  }

  /**
   * Where a new connection has to begin: at the mark, so that its history is recognised, or, with `recognise` false, at
   * the last whole revision, which etcd refuses when it has compacted what comes behind.
   */
  reconnect(recognise: boolean): bigint {
    const mark = recognise ? this.recognisedBy() : undefined;
    this.unrecognised = mark !== undefined;
    this.contradicted = false;
    this.repeated = this.open;
    const start = mark?.main ?? BigInt(this.whole);
    return start < 1n ? 1n : start;
  }

  /**
   * Takes in a piece of etcd's. Returns the index of the first event that is new; all before it were accepted before.
   * `more`: the piece may end within a revision. Throws a `CaptureBreak`, or `etcd.protocol` (retryable) at events that
   * come in no order.
   */
  accept(events: PackedEvents, more: boolean): number {
    const { count, revisions } = events;
    let at = 0;
    for (; at < count && (revisions[at] ?? 0) <= this.whole; at++) this.recognise(events, at);
    if (at < count) this.passMark();
    for (; at < count && this.repeated > 0 && revisions[at] === this.whole + 1; at++) this.repeated--;
    const last = revisions[count - 1] ?? 0;
    if (this.repeated > 0 && (last > this.whole + 1 || (last === this.whole + 1 && !more)))
      throw this.differs();

    // Nothing is taken from a piece that can't be taken whole: the next connection brings it again.
    const first = at;
    let { whole, open, last: lastEntry, openLast } = this;
    const endRevision = (): void => {
      whole++;
      open = 0;
      lastEntry = openLast ?? lastEntry;
      openLast = undefined;
    };
    for (; at < count; at++) {
      const main = revisions[at] ?? 0;
      if (main === whole + 2 && open > 0) endRevision();
      if (main !== whole + 1)
        throw main <= whole ? disordered(main, whole) : missing(main, whole + Math.sign(open));
      if (events.tombstones[at] !== 1 || openLast?.tombstone !== false) openLast = entryOf(events, at, open);
      open++;
    }
    if (!more && open > 0 && last === whole + 1) endRevision();
    this.whole = whole;
    this.open = open;
    this.last = lastEntry;
    this.openLast = openLast;
    return first;
  }

  private recognise(events: PackedEvents, at: number): void {
    const { mark } = this;
    if (!this.unrecognised || mark === undefined) return;
    const main = events.revisions[at] ?? 0;
    if (main > Number(mark.main)) this.passMark();
    if (main !== Number(mark.main)) return;
    // Its place within the revision may have shifted: old versions leave out deletions at the compacted revision.
    const seen = markOf(entryOf(events, at, Number(mark.sub)));
    if (seen.size === mark.size && seen.checksum === mark.checksum) this.unrecognised = false;
    this.contradicted = true;
  }

  /** What comes now lies behind the mark. */
  private passMark(): void {
    if (this.unrecognised && (this.mark?.tombstone !== true || this.contradicted)) throw this.differs();
    this.unrecognised = false;
  }

  private differs(): CaptureBreak {
    const { mark } = this;
    const what =
      this.unrecognised && mark !== undefined
        ? `the cluster holds something else at revision ${mark.main} than was captured`
        : `the cluster shows revision ${this.whole + 1} differently than before`;
    return new CaptureBreak('history-differs', `${what}: it was restored or rebuilt meanwhile`);
  }
}

interface Entry {
  readonly main: number;
  readonly sub: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly tombstone: boolean;
}

function entryOf(
  { revisions, bytes, starts, ends, tombstones }: PackedEvents,
  at: number,
  sub: number,
): Entry {
  const tombstone = tombstones[at] === 1;
  return { main: revisions[at] ?? 0, sub, bytes, start: starts[at] ?? 0, end: ends[at] ?? 0, tombstone };
}

function markOf({ main, sub, bytes, start, end, tombstone }: Entry): Mark {
  const key = Buffer.allocUnsafe(tombstone ? TOMBSTONE_KEY_SIZE : REVISION_KEY_SIZE);
  writeRevisionKey(key, 0, main, sub, tombstone);
  return {
    main: BigInt(main),
    sub: BigInt(sub),
    checksum: crc32c(bytes.subarray(start, end), crc32c(key)),
    size: key.length + end - start,
    tombstone,
  };
}

/** Old versions repeat events, or tell them in the wrong order, in rare cases; a new connection puts it right. */
function disordered(main: number, whole: number): GuardianError {
  return new GuardianError('etcd.protocol', `events of revision ${main} came after those of ${whole}`, {
    hint: 'Versions of etcd before 3.4.25 and 3.5.8 do this in rare cases: upgrade.',
    retryable: true,
  });
}

function missing(main: number, last: number): CaptureBreak {
  return new CaptureBreak(
    'revision-missing',
    `etcd told revision ${main} after ${last}, and nothing in between`,
  );
}
