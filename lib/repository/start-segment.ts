import type { Buffer } from 'node:buffer';
import type { Clock } from '../clock.ts';
import { GuardianError } from '../guardian-error.ts';
import type { SegmentDraft, SegmentFacts } from './chain.ts';
import { compressBatch } from './compress-batch.ts';
import { BatchEncoder, MAX_VALUE_BYTES } from './segment-batch.ts';
import { MAX_BATCHES } from './segment-head.ts';
import { SeenTimes } from './seen-times.ts';

export interface SegmentStart {
  /** Exclusive: the revision that the first event follows. */
  readonly from: bigint;
  readonly writer: SegmentFacts['writer'];
  readonly clock: Clock;
}

/** What a segment says beside its events. */
export type SegmentExtras = Pick<SegmentFacts, 'leases' | 'proofs' | 'clockSteps' | 'gap'>;

/**
 * A segment that is being filled: each batch is compressed, on another thread, as soon as it is full, so that memory
 * holds little more than compressed bytes.
 */
export interface SegmentBuilder {
  readonly from: bigint;
  /** The last whole revision; `from` while there is none. */
  readonly to: bigint;
  /** True between the first event of a revision and `endRevision`: it can't be finished now. */
  readonly isOpen: boolean;
  readonly events: number;
  /** Bytes of the entries, as etcd keeps them: keys of bucket `key`, and values. */
  readonly plainSize: number;
  /** Bytes that are held: plain ones of the open batch and of those being compressed, and frames. */
  readonly heldBytes: number;
  readonly openedAt: Date;
  /** When the first event was added; undefined while there is none. */
  readonly firstAt: Date | undefined;

  /**
   * Adds the next change of the history, in the order in which a watch of the whole key space tells them; copies the
   * value. `value` is what bucket `key` holds: `WatchEvent.encoded` of a put, `encodeTombstone(key)` of a deletion.
   * Another main revision than the one before ends that one. Throws `capture.revision-gap` when revisions are missing,
   * `capture.revision-repeated` when this one was added and ended before; nothing is added then. Throws
   * `capture.too-large` for what no segment can hold: 56 MiB in one value, or millions of changes in one revision.
   */
  add(main: bigint, value: Uint8Array, tombstone: boolean): void;

  /** All of the last revision was added; it counts as seen now. Does nothing when none is open. */
  endRevision(): void;

  /** Resolves once at most `most` batches wait to be compressed: keeps memory bounded when events come in floods. */
  settled(most?: number): Promise<void>;

  /** Ends it; throws `capture.revision-open` within a revision, and `capture.no-events` without any. */
  finish(extras: SegmentExtras): Promise<SegmentDraft>;
}

export function startSegment(start: SegmentStart): SegmentBuilder {
  return new Builder(start);
}

class Builder implements SegmentBuilder {
  readonly from: bigint;
  readonly openedAt: Date;
  events = 0;
  plainSize = 0;
  heldBytes = 0;
  firstAt: Date | undefined;
  readonly #writer: SegmentFacts['writer'];
  readonly #clock: Clock;
  readonly #batch = new BatchEncoder();
  readonly #batches: { events: number; size: number; plainSize: number; first: bigint }[] = [];
  readonly #frames: Buffer[] = [];
  readonly #times = new SeenTimes();
  readonly #spare: Buffer[] = [];
  /** In the order of batches; those done are taken out at its beginning. */
  readonly #compressing: Promise<void>[] = [];
  #puts = 0;
  #main: number;
  /** Of the next event of `#main`; undefined when that revision is whole. */
  #sub: number | undefined;

  constructor({ from, writer, clock }: SegmentStart) {
    this.from = from;
    this.openedAt = clock();
    this.#writer = writer;
    this.#clock = clock;
    this.#main = Number(from);
  }

  get to(): bigint {
    return BigInt(this.#sub === undefined ? this.#main : this.#main - 1);
  }

  get isOpen(): boolean {
    return this.#sub !== undefined;
  }

  add(main: bigint, value: Uint8Array, tombstone: boolean): void {
    const next = Number(main);
    if (value.length > MAX_VALUE_BYTES) {
      throw tooLarge(
        `a value of ${value.length} bytes at revision ${main}; at most ${MAX_VALUE_BYTES} are captured`,
      );
    }
    if (next !== this.#main || this.#sub === undefined) this.#beginRevision(next);
    if (this.#batch.isFull) this.#closeBatch();
    const heldBefore = this.#batch.entryBytes;
    const sub = this.#sub ?? 0;
    this.#batch.add(next, sub, value, tombstone);
    this.#sub = sub + 1;
    this.events++;
    if (!tombstone) this.#puts++;
    const added = this.#batch.entryBytes - heldBefore;
    this.plainSize += added;
    this.heldBytes += added;
  }

  endRevision(): void {
    if (this.#sub === undefined) return;
    this.#sub = undefined;
    this.#times.saw(BigInt(this.#main), this.#clock());
  }

  async settled(most = MOST_WAITING): Promise<void> {
    while (this.#compressing.length > most) {
      const [first] = this.#compressing;
      await first;
      if (this.#compressing[0] === first) void this.#compressing.shift();
    }
  }

  async finish({ leases, proofs, clockSteps, gap }: SegmentExtras): Promise<SegmentDraft> {
    if (this.#sub !== undefined) {
      throw new GuardianError('capture.revision-open', `a segment can't end within revision ${this.#main}`);
    }
    if (this.events === 0) {
      throw new GuardianError('capture.no-events', `nothing was captured behind revision ${this.from}`);
    }
    this.#closeBatch();
    await this.settled(0);
    return {
      from: this.from,
      to: this.to,
      facts: {
        writer: this.#writer,
        openedAt: this.openedAt,
        events: this.events,
        puts: this.#puts,
        plainSize: this.plainSize,
        batches: this.#batches,
        times: this.#times.entries(),
        ...{ leases, proofs, clockSteps, gap },
      },
      frames: this.#frames,
    };
  }

  #beginRevision(main: number): void {
    if (main <= this.#main) {
      throw new GuardianError(
        'capture.revision-repeated',
        `revision ${main} came again after ${this.#main}`,
        {
          hint: 'Drop what was captured before; was the cluster restored meanwhile?',
        },
      );
    }
    if (main !== this.#main + 1) {
      throw new GuardianError('capture.revision-gap', `revision ${main} came after ${this.#main}`, {
        hint: 'A watch of the whole key space misses none: a new base is needed.',
      });
    }
    this.endRevision();
    this.firstAt ??= this.#clock();
    this.#main = main;
    this.#sub = 0;
  }

  #closeBatch(): void {
    const index = this.#batches.length;
    if (index === MAX_BATCHES) throw tooLarge(`more than ${MAX_BATCHES} batches of events in one segment`);
    const { count: events, first, entryBytes } = this.#batch;
    const plain = this.#batch.take(this.#spare.pop());
    const described = { events, size: 0, plainSize: plain.length, first: BigInt(first) };
    this.#batches.push(described);
    const compressing = compressBatch(plain).then((frame) => {
      described.size = frame.length;
      this.#frames[index] = frame;
      this.heldBytes += frame.length - entryBytes;
      this.#spare.push(plain);
    });
    // Told by `settled` or `finish`; until then it must not count as unhandled.
    compressing.catch(() => undefined);
    this.#compressing.push(compressing);
  }
}

/** Batches of about 4 MiB each: enough to keep the threads busy. */
const MOST_WAITING = 2;

function tooLarge(what: string): GuardianError {
  return new GuardianError('capture.too-large', what, {
    hint: 'Restore points up to the revision before it can still be made; a new base continues behind it.',
  });
}
