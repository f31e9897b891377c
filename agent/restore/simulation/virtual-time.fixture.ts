import { setImmediate as tick } from 'node:timers/promises';
import type { Waiting } from '../../../lib/restore/cluster/waiting.ts';

const AT_ONCE = Promise.resolve();

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that passes when nobody has anything left to do: what takes hours takes milliseconds, and the same each time. */
export class VirtualTime {
  nowMs = 0;
  events = 0;
  private order = 0;
  /** A heap: the earliest event is the first. */
  private readonly heap: Event[] = [];

  after(ms: number, run: () => void): void {
    const event = { atMs: this.nowMs + Math.max(0, ms), order: this.order++, run };
    let at = this.heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      this.heap[at] = above;
      at = parent;
    }
    this.heap[at] = event;
  }

  /** Lets time pass until it holds, nothing is left, or the moment has come. */
  async pass(untilMs: number, isOver: () => boolean): Promise<void> {
    await tick();
    while (!isOver()) {
      if ((this.heap[0]?.atMs ?? Infinity) > untilMs) return;
      const next = this.next();
      if (next === undefined) return;
      this.nowMs = next.atMs;
      this.events += 1;
      next.run();
      await this.settled();
    }
  }

  /** What follows from an event at once; the event loop is slow, so only now and then everything is waited for. */
  private async settled(): Promise<void> {
    if (this.events % 1_000 === 0) await tick();
    for (let hop = 0; hop < 32; hop++) await AT_ONCE;
  }

  private next(): Event | undefined {
    const [first] = this.heap;
    const last = this.heap.pop();
    if (first === undefined || last === undefined || this.heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [this.heap[child], this.heap[child + 1]];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        child += 1;
      }
      if (!isBefore(least, last)) break;
      this.heap[at] = least;
      at = child;
    }
    this.heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A process: what it waits for never comes once it was killed. */
export class VirtualProcess {
  readonly name: string;
  readonly waiting: Waiting;
  private readonly time: VirtualTime;
  private readonly deaths: (() => void)[] = [];
  private killed = false;

  constructor(name: string, time: VirtualTime) {
    this.name = name;
    this.time = time;
    this.waiting = {
      nowMs: () => time.nowMs,
      pause: (ms, signal) =>
        new Promise((resolve) => {
          const wake = (): void => {
            if (!this.killed) resolve();
          };
          time.after(ms, wake);
          signal.addEventListener('abort', wake, { once: true });
        }),
    };
  }

  get isAlive(): boolean {
    return !this.killed;
  }

  async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.time.after(ms, () => {
        if (!this.killed) resolve();
      });
    });
  }

  kill(): void {
    if (this.killed) return;
    this.killed = true;
    for (const die of this.deaths) die();
  }

  onDeath(die: () => void): void {
    this.deaths.push(die);
  }
}
