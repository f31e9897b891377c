import { hasCode } from '../guardian-error.ts';
import type {
  ByteRange,
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from './object-store.ts';
import { callRetries, isRetryable, Retries, type RetryPolicy, withRetries } from './retry-policy.ts';

/**
 * Repeats what fails with a retryable error, by `policy`. A reader goes on at the byte it had reached, of the same
 * version, and a list after the last name, each with a fresh allowance whenever it got further. A streamed `put` is
 * passed on as it is: its body can't be replayed, and stores repeat its parts themselves.
 */
export class RetryingStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #policy: RetryPolicy;

  constructor(store: ObjectStore, policy: RetryPolicy = callRetries) {
    this.location = store.location;
    this.#store = store;
    this.#policy = policy;
  }

  put(name: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject> {
    return this.#store.put(name, body, options);
  }

  /** A name that turns out to be taken after a reply was lost, by our very bytes, is our own success. */
  async putIfAbsent(name: string, body: Uint8Array, options: PutOptions = {}): Promise<StoredObject> {
    let mayHaveArrived = false;
    return this.#repeat(`writing object ${name}`, options.signal, async () => {
      try {
        return await this.#store.putIfAbsent(name, body, options);
      } catch (error) {
        const own =
          mayHaveArrived && hasCode(error, 'store.exists')
            ? await this.#findBytes(name, body, options.signal)
            : undefined;
        if (own !== undefined) return own;
        mayHaveArrived ||= isRetryable(error);
        throw error;
      }
    });
  }

  async *get(name: string, options: GetOptions = {}): AsyncGenerator<Uint8Array, void> {
    const { signal, range, onOpen } = options;
    const retries = new Retries(this.#policy, `reading object ${name} in ${this.location}`, signal);
    let { version } = options;
    let opened = false;
    let read = 0;
    for (;;) {
      const source = this.#store.get(name, {
        signal,
        version,
        range: read === 0 ? range : rest(range, read),
        onOpen: (object) => {
          version = object.version;
          if (!opened) onOpen?.(object);
          opened = true;
        },
      });
      try {
        for await (const chunk of source) {
          if (chunk.length === 0) continue;
          read += chunk.length;
          retries.renew();
          yield chunk;
        }
        return;
      } catch (error) {
        await retries.after(error);
      }
    }
  }

  stat(name: string, options: StoreCallOptions = {}): Promise<StoredObject> {
    return this.#repeat(`asking for object ${name}`, options.signal, () => this.#store.stat(name, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<StoredObject, void> {
    const retries = new Retries(this.#policy, `listing ${this.location}`, options.signal);
    let { after } = options;
    for (;;) {
      try {
        for await (const object of this.#store.list(prefix, { ...options, after })) {
          after = object.name;
          retries.renew();
          yield object;
        }
        return;
      } catch (error) {
        await retries.after(error);
      }
    }
  }

  delete(name: string, options: StoreCallOptions = {}): Promise<void> {
    return this.#repeat(`deleting object ${name}`, options.signal, () => this.#store.delete(name, options));
  }

  /** After a repetition the count may lack uploads whose removal was not confirmed. */
  sweepStaleUploads(olderThan: Date, options: StoreCallOptions = {}): Promise<number> {
    return this.#repeat('sweeping unfinished uploads', options.signal, () =>
      this.#store.sweepStaleUploads(olderThan, options),
    );
  }

  #repeat<T>(what: string, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
    return withRetries(this.#policy, `${what} in ${this.location}`, call, signal);
  }

  /** The object, if it consists of exactly these bytes. */
  async #findBytes(
    name: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<StoredObject | undefined> {
    let found: StoredObject | undefined;
    let at = 0;
    try {
      const onOpen = (object: StoredObject): void => {
        found = object;
      };
      for await (const chunk of this.#store.get(name, { signal, onOpen })) {
        if (Buffer.compare(chunk, bytes.subarray(at, at + chunk.length)) !== 0) return undefined;
        at += chunk.length;
      }
    } catch (error) {
      // Gone again, or not ours to read: then nobody can say that it was us.
      if (hasCode(error, 'store.not-found') || hasCode(error, 'store.denied')) return undefined;
      throw error;
    }
    return at === bytes.length ? found : undefined;
  }
}

/** What is left of `range` once its first `read` bytes are there. */
function rest(range: ByteRange | undefined, read: number): ByteRange {
  const offset = (range?.offset ?? 0) + read;
  return range?.length === undefined ? { offset } : { offset, length: range.length - read };
}
