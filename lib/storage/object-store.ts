/** An object as the store knows it. */
export interface StoredObject {
  /** `/`-separated, relative to the store's prefix. */
  readonly name: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly modifiedAt: Date;
  /** Opaque; differs whenever the name was deleted and written again (an ETag, an inode and its time). */
  readonly version: string;
}

export interface StoreCallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends StoreCallOptions {
  /**
   * The store keeps the object undeletable until then. A kind of store that has no such thing (local) ignores it; a
   * bucket that could have Object Lock but lacks it rejects with `store.unsupported`.
   */
  readonly retainUntil?: Date | undefined;
}

/** Bytes `offset` up to `offset + length`; `length` left out means to the end. */
export interface ByteRange {
  readonly offset: number;
  readonly length?: number | undefined;
}

export interface GetOptions extends StoreCallOptions {
  /** Only these bytes. A range that isn't wholly within the object rejects with `store.range`. */
  readonly range?: ByteRange | undefined;
  /** Reads this `StoredObject.version` or rejects with `store.changed`. */
  readonly version?: string | undefined;
  /** Called once, before the first bytes, with the whole object that is being read. */
  readonly onOpen?: ((object: StoredObject) => void) | undefined;
}

export interface ListOptions extends StoreCallOptions {
  /** Only names that sort after this one. */
  readonly after?: string | undefined;
}

/**
 * Where backups live. Every implementation passes `object-store.conformance.ts`.
 *
 * Names are `/`-separated, relative to the configured prefix; they consist of `[A-Za-z0-9._-]` segments, never `.`,
 * `..` or empty ones, and a name is never also the folder of another (`store.name` otherwise; see object-name.ts).
 * Objects are write-once: nothing here overwrites one.
 *
 * All methods reject with a `GuardianError`: `store.not-found`, `store.exists`, `store.denied` (credentials,
 * permissions), `store.missing` (the bucket itself), `store.full`, `store.busy` (retryable: throttling, 5xx),
 * `store.unreachable` (retryable but for a certificate that isn't trusted: network, reset, DNS, TLS),
 * `store.corrupt` (bytes differ from their checksum or announced length), `store.upload-lost` (a sweep or the store
 * removed the unfinished upload: only the whole put can be run again), `store.unsupported` (the store lacks something
 * that we need), `store.settings` (wrong region, endpoint …), `store.failed` (anything else). They stop soon after
 * `signal` aborts, with the signal's reason, leaving no partial object visible.
 */
export interface ObjectStore {
  /** For people and logs, e.g. `s3://bucket/prefix` or `file:///dir`; never holds credentials. */
  readonly location: string;

  /**
   * Streams `body` into `name`; visible only once complete and durable. Memory is bounded whatever the length; chunks
   * are not kept past the next one being asked for. If `body` throws, nothing becomes visible and that very error is
   * rethrown. Rejects with `store.exists` when the name is taken (a store that ignores the condition may overwrite,
   * see `probePutIfAbsent`).
   */
  put(name: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredObject>;

  /**
   * Writes a small object (≤ 8 MiB) unless the name is taken; rejects with `store.exists` then. This is the fence
   * between two writers: of any number of racing calls exactly one resolves.
   */
  putIfAbsent(name: string, body: Uint8Array, options?: PutOptions): Promise<StoredObject>;

  /**
   * The object's bytes, in order, with back-pressure; each chunk is the reader's to keep. Rejects on first read, or
   * part-way with a retryable error.
   */
  get(name: string, options?: GetOptions): AsyncIterable<Uint8Array>;

  stat(name: string, options?: StoreCallOptions): Promise<StoredObject>;

  /**
   * Every object whose name starts with `prefix`, in bytewise order of names, fetched page by page. What could not
   * have been written here (other characters in its name, a temporary file) is passed over.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<StoredObject>;

  /** Removes an object; resolves also when it is already gone. */
  delete(name: string, options?: StoreCallOptions): Promise<void>;

  /**
   * Aborts unfinished uploads (or removes temporary files) under the store's prefix that were begun before
   * `olderThan`. Resolves to how many there were.
   */
  sweepStaleUploads(olderThan: Date, options?: StoreCallOptions): Promise<number>;
}
