/** An object as the store knows it. */
export interface StoredObject {
  /** `/`-separated, relative to the store's prefix. */
  readonly name: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly modifiedAt: Date;
}

export interface StoreCallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends StoreCallOptions {
  /** The store keeps the object undeletable until then, where it has Object Lock; ignored by stores without it. */
  readonly retainUntil?: Date | undefined;
}

export interface GetOptions extends StoreCallOptions {
  /** Only these bytes; `length` left out means to the end. A range beyond the end rejects with `store.range`. */
  readonly range?: { readonly offset: number; readonly length?: number };
}

/**
 * Where backups live. Every implementation passes `object-store.conformance.ts`.
 *
 * Names are `/`-separated, relative to the configured prefix; they consist of `[A-Za-z0-9._-]` segments, never `.`,
 * `..` or empty ones (`store.name` otherwise). Objects are write-once: nothing here overwrites one.
 * All methods reject with a `GuardianError`: `store.not-found`, `store.exists`, `store.denied`, `store.full`,
 * `store.busy` (retryable: throttling, 5xx), `store.unreachable` (retryable: network, reset, DNS, TLS),
 * `store.corrupt` (bytes differ from their checksum or announced length), and stop soon after `signal` aborts, with
 * the signal's reason, leaving no partial object visible.
 */
export interface ObjectStore {
  /** For people and logs, e.g. `s3://bucket/prefix` or `file:///dir`; never holds credentials. */
  readonly location: string;

  /**
   * Streams `body` into `name`; visible only once complete and durable. Memory is bounded whatever the length.
   * If `body` throws, nothing becomes visible and that very error is rethrown. Rejects with `store.exists` when the
   * name is taken (a store that ignores the condition may overwrite, see `probePutIfAbsent`).
   */
  put(name: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject>;

  /**
   * Writes a small object (≤ 8 MiB) unless the name is taken; rejects with `store.exists` then. This is the fence
   * between two writers: of any number of racing calls exactly one resolves.
   */
  putIfAbsent(name: string, body: Uint8Array, options?: PutOptions): Promise<StoredObject>;

  /** The object's bytes, in order, with back-pressure. Rejects on first read, or part-way with a retryable error. */
  get(name: string, options?: GetOptions): AsyncIterable<Uint8Array>;

  stat(name: string, options?: StoreCallOptions): Promise<StoredObject>;

  /** Every object whose name starts with `prefix`, in bytewise order of names, fetched page by page. */
  list(prefix: string, options?: StoreCallOptions): AsyncIterable<StoredObject>;

  /** Removes an object; resolves also when it is already gone. */
  delete(name: string, options?: StoreCallOptions): Promise<void>;

  /**
   * Aborts unfinished uploads (or removes temporary files) under the store's prefix that were begun before
   * `olderThan`. Resolves to how many there were.
   */
  sweepStaleUploads(olderThan: Date, options?: StoreCallOptions): Promise<number>;
}
