import { setTimeout as delay } from 'node:timers/promises';
import type {
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from './object-store.ts';

export interface RateLimits {
  readonly uploadBytesPerSecond?: number | undefined;
  readonly downloadBytesPerSecond?: number | undefined;
}

export interface LimitTimer {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

const systemTimer: LimitTimer = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** Keeps all transfers of a store together below a rate in each direction. */
export class RateLimitedStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #up: TokenBucket | undefined;
  readonly #down: TokenBucket | undefined;

  constructor(store: ObjectStore, limits: RateLimits, timer: LimitTimer = systemTimer) {
    this.location = store.location;
    this.#store = store;
    this.#up = bucketOf(limits.uploadBytesPerSecond, timer);
    this.#down = bucketOf(limits.downloadBytesPerSecond, timer);
  }

  put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    return this.#store.put(name, limited(body, this.#up, options.signal), options);
  }

  async putIfAbsent(name: string, body: Uint8Array, options: PutOptions = {}): Promise<StoredObject> {
    await this.#up?.take(body.length, options.signal);
    return this.#store.putIfAbsent(name, body, options);
  }

  get(name: string, options: GetOptions = {}): AsyncIterable<Uint8Array> {
    return limited(this.#store.get(name, options), this.#down, options.signal);
  }

  stat(name: string, options?: StoreCallOptions): Promise<StoredObject> {
    return this.#store.stat(name, options);
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<StoredObject> {
    return this.#store.list(prefix, options);
  }

  delete(name: string, options?: StoreCallOptions): Promise<void> {
    return this.#store.delete(name, options);
  }

  sweepStaleUploads(olderThan: Date, options?: StoreCallOptions): Promise<number> {
    return this.#store.sweepStaleUploads(olderThan, options);
  }
}

async function* limited(
  body: AsyncIterable<Uint8Array>,
  bucket: TokenBucket | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    await bucket?.take(chunk.length, signal);
    yield chunk;
  }
}

function bucketOf(bytesPerSecond: number | undefined, timer: LimitTimer): TokenBucket | undefined {
  return bytesPerSecond === undefined ? undefined : new TokenBucket(bytesPerSecond, timer);
}

/**
 * Grants `bytesPerSecond` over time, and at once as much as was left unused in the last second. What is larger is
 * granted on credit: the next in line waits for it, so that any chunk passes and the rate still holds.
 */
class TokenBucket {
  readonly #bytesPerMs: number;
  readonly #timer: LimitTimer;
  /** When all that was granted so far will have been earned. */
  #earnedAtMs: number;

  constructor(bytesPerSecond: number, timer: LimitTimer) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#timer = timer;
    this.#earnedAtMs = timer.now() - 1000;
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const now = this.#timer.now();
    this.#earnedAtMs = Math.max(this.#earnedAtMs, now - 1000);
    const waitMs = this.#earnedAtMs - now;
    this.#earnedAtMs += bytes / this.#bytesPerMs;
    if (waitMs <= 0) return;
    try {
      await this.#timer.sleep(waitMs, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}
