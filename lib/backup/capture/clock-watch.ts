import type { Clock } from '../../clock.ts';
import type { ChainTail } from '../../repository/chain.ts';
import { CLOCK_NOISE_MS, type ClockStep, joinedSteps } from '../../repository/clock-steps.ts';

export interface ClockWatchSettings {
  readonly clock: Clock;
  /** Of the segments that this process writes. */
  readonly writerId: bigint;
  /** Told at once of each step. */
  readonly onStep: (step: ClockStep) => void;
  /** Milliseconds that nobody puts right. Default: `performance.now`. */
  readonly monotonicMs?: (() => number) | undefined;
}

/**
 * Holds the clock that times are taken from against one that nobody sets, and keeps where the two went apart. A clock
 * that is slowly put right stays below what counts as a step.
 */
export class ClockWatch {
  private readonly clock: Clock;
  private readonly writerId: bigint;
  private readonly onStep: (step: ClockStep) => void;
  private readonly monotonicMs: () => number;
  private last: Reading;
  private seen: ClockStep[] = [];

  constructor({ clock, writerId, onStep, monotonicMs = () => performance.now() }: ClockWatchSettings) {
    this.clock = clock;
    this.writerId = writerId;
    this.onStep = onStep;
    this.monotonicMs = monotonicMs;
    this.last = this.read();
  }

  /** The steps since this process began to watch, with what `follows` found. */
  get steps(): readonly ClockStep[] {
    return this.seen;
  }

  /** Looks whether the clock has stepped since the last look; everything up to `revision` was seen by then. */
  look(revision: bigint): void {
    const now = this.read();
    const expected = this.last.wall + (now.monotonic - this.last.monotonic);
    this.last = now;
    if (Math.abs(now.wall - expected) > CLOCK_NOISE_MS) this.tell(revision, expected, now.wall);
  }

  /**
   * Looks whether the clock is behind what that of the chain's last writer said: one of the two was, or is, wrong. How
   * long nobody captured in between isn't known: the step may have been larger.
   */
  follows({ last, revision }: ChainTail): void {
    this.look(revision);
    if (last === undefined || last.head.writer.id === this.writerId) return;
    const { times, sealedAt, clockSteps } = last.head;
    const newest = times.at(-1)?.[1].getTime() ?? sealedAt.getTime();
    // Times stand still behind a step that is told already: then only the time of sealing is what the clock said.
    const said = clockSteps === undefined ? newest : Math.min(newest, sealedAt.getTime());
    const { wall } = this.last;
    if (said - wall > CLOCK_NOISE_MS) this.tell(revision, said, wall);
  }

  /** Forgets the steps: what follows is another history, with revisions of its own. */
  clear(): void {
    this.seen = [];
  }

  private tell(revision: bigint, before: number, after: number): void {
    const step = { revision, before: new Date(Math.round(before)), after: new Date(Math.round(after)) };
    this.seen = joinedSteps(this.seen, [step]);
    this.onStep(step);
  }

  /** Both clocks at one moment: a pause between the two would look like a step. */
  private read(): Reading {
    for (let tries = 0; ; tries++) {
      const start = this.monotonicMs();
      const wall = this.clock().getTime();
      const end = this.monotonicMs();
      if (end - start <= ONE_MOMENT_MS || tries === MOST_TRIES) return { wall, monotonic: (start + end) / 2 };
    }
  }
}

interface Reading {
  readonly wall: number;
  readonly monotonic: number;
}

const ONE_MOMENT_MS = 50;
const MOST_TRIES = 10;
