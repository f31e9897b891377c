import type { KeyQueue } from './controller.ts';
import { RateLimit } from '../lib/rate-limit.ts';
import { doubledMs } from './doubled-delay.ts';
import { systemTiming, type Timing } from './timing.ts';

export interface KeyQueueLimits {
  /** After a first failure; doubled with each further one. */
  readonly retryMs: number;
  readonly longestRetryMs: number;
  /** Takes per second over all keys, and how many at once after a pause. */
  readonly perSecond: number;
  readonly burst: number;
}

export const KEY_QUEUE_LIMITS: KeyQueueLimits = {
  retryMs: 500,
  // Whoever gave what was missing, a right or a Secret, waits for no more than that.
  longestRetryMs: 60_000,
  perSecond: 50,
  burst: 200,
};

/** What a queue is asked about by metrics. */
export interface KeyQueueFigures {
  /** Due, and not taken yet. */
  readonly waiting: number;
  /** Due later. */
  readonly delayed: number;
  readonly running: number;
  /** Keys whose last reconcile failed. */
  readonly failing: number;
}

export interface TakenKey {
  readonly key: string;
  /** Between due and taken. */
  readonly waitedMs: number;
}

/**
 * Keys that wait to be reconciled. A key is in it once, however often it is added, and is never taken again before it
 * is given back; what is added meanwhile makes it due then. Namespaces take turns, so that one with a thousand objects
 * holds up nobody else; within one, first come, first served.
 */
export interface WorkQueue extends KeyQueue {
  /** The next key that is due; waits for one. Undefined once the queue is stopped. */
  take(): Promise<TakenKey | undefined>;
  /** Gives a key back that went well. With `afterMs`: due again then, if nothing makes it earlier. */
  done(key: string, afterMs?: number): void;
  /** Gives a key back that failed; returns the delay before it is due again: exponential, with jitter. */
  failed(key: string): number;
  figures(): KeyQueueFigures;
  /** Takers get undefined from now on, and nothing is added any more. */
  stop(): void;
}

interface Delayed {
  readonly dueMs: number;
  readonly cancel: () => void;
}

/** setTimeout holds 31 bits; who waits longer is looked at in between, which does no harm. */
const LONGEST_TIMER_MS = 2 ** 30;
/** Others' changes bring a failing key forward, but a key that fails by its own changes must not spin. */
const FAILING_GAP_MS = 1_000;

export function keyQueue(
  limits: KeyQueueLimits = KEY_QUEUE_LIMITS,
  random: () => number = Math.random,
  timing: Timing = systemTiming,
): WorkQueue {
  /** By namespace, in the order of their turns: key to the moment since when it is due. */
  const ready = new Map<string, Map<string, number>>();
  const delayed = new Map<string, Delayed>();
  /** Taken keys; with the moment when they are due again, if something asked for it. */
  const running = new Map<string, number | undefined>();
  const failures = new Map<string, { count: number; earliestMs: number }>();
  const takers: ((taken: TakenKey | undefined) => void)[] = [];
  const rate = new RateLimit(limits.perSecond, limits.burst, timing.nowMs());
  let waitForRate: (() => void) | undefined;
  let stopped = false;

  const makeReady = (key: string): void => {
    const namespace = namespaceOf(key);
    const keys = ready.get(namespace) ?? new Map<string, number>();
    keys.set(key, timing.nowMs());
    ready.set(namespace, keys);
    serve();
  };

  /** From the namespace whose turn it is, which goes to the end of the line. */
  const nextReady = (): TakenKey | undefined => {
    for (const [namespace, keys] of ready) {
      ready.delete(namespace);
      for (const [key, sinceMs] of keys) {
        keys.delete(key);
        if (keys.size > 0) ready.set(namespace, keys);
        return { key, waitedMs: timing.nowMs() - sinceMs };
      }
    }
    return undefined;
  };

  const serve = (): void => {
    while (takers.length > 0 && ready.size > 0 && waitForRate === undefined) {
      const delayMs = rate.take(timing.nowMs());
      if (delayMs > 0) {
        waitForRate = timing.after(delayMs, () => {
          waitForRate = undefined;
          serve();
        });
        return;
      }
      const taken = nextReady();
      if (taken === undefined) return;
      running.set(taken.key, undefined);
      takers.shift()?.(taken);
    }
  };

  const schedule = (key: string, dueMs: number): void => {
    const before = delayed.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return;
    before?.cancel();
    delayed.delete(key);
    const delayMs = dueMs - timing.nowMs();
    if (delayMs <= 0) {
      makeReady(key);
      return;
    }
    const cancel = timing.after(Math.min(delayMs, LONGEST_TIMER_MS), () => {
      delayed.delete(key);
      makeReady(key);
    });
    delayed.set(key, { dueMs, cancel });
  };

  const giveBack = (key: string, wantedMs: number | undefined): void => {
    if (!running.has(key)) return;
    const askedMs = running.get(key);
    running.delete(key);
    if (stopped) return;
    const dueMs = Math.min(askedMs ?? Infinity, wantedMs ?? Infinity);
    if (dueMs < Infinity) schedule(key, Math.max(dueMs, failures.get(key)?.earliestMs ?? 0));
  };

  return {
    add(key, afterMs = 0) {
      if (stopped) return;
      const dueMs = timing.nowMs() + Math.max(0, afterMs);
      if (running.has(key)) {
        running.set(key, Math.min(running.get(key) ?? Infinity, dueMs));
      } else if (ready.get(namespaceOf(key))?.has(key) !== true) {
        schedule(key, Math.max(dueMs, failures.get(key)?.earliestMs ?? 0));
      }
    },
    async take() {
      if (stopped) return undefined;
      const { promise, resolve } = Promise.withResolvers<TakenKey | undefined>();
      takers.push(resolve);
      serve();
      return promise;
    },
    done(key, afterMs) {
      failures.delete(key);
      giveBack(key, afterMs === undefined ? undefined : timing.nowMs() + Math.max(0, afterMs));
    },
    failed(key) {
      const count = (failures.get(key)?.count ?? 0) + 1;
      const delayMs = backOffMs(count, limits, random);
      const nowMs = timing.nowMs();
      failures.set(key, { count, earliestMs: nowMs + Math.min(delayMs, FAILING_GAP_MS) });
      giveBack(key, nowMs + delayMs);
      return delayMs;
    },
    figures: () => ({
      waiting: [...ready.values()].reduce((sum, keys) => sum + keys.size, 0),
      delayed: delayed.size,
      running: running.size,
      failing: failures.size,
    }),
    stop() {
      stopped = true;
      for (const { cancel } of delayed.values()) cancel();
      waitForRate?.();
      delayed.clear();
      ready.clear();
      for (const taker of takers.splice(0)) taker(undefined);
    },
  };
}

/** Between half and all of the doubled delay: who failed together doesn't try together. */
export function backOffMs(
  failures: number,
  { retryMs, longestRetryMs }: Pick<KeyQueueLimits, 'retryMs' | 'longestRetryMs'>,
  random: () => number,
): number {
  return doubledMs(failures, retryMs, longestRetryMs) * (0.5 + random() / 2);
}

/** `namespace/name`; keys without a namespace share one turn. */
function namespaceOf(key: string): string {
  const slash = key.indexOf('/');
  return slash < 0 ? '' : key.slice(0, slash);
}
