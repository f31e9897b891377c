/** A piece of disk for bytes that a slow consumer can't take yet and memory must not hold. */
export interface SpillFile extends AsyncDisposable {
  /** Resolves to the offset at which the bytes can be read back. */
  append(bytes: Uint8Array): Promise<number>;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface ElasticBufferSettings {
  /** Bytes held in memory before anything is spilled. */
  readonly memoryBytes: number;
  /** Bytes on disk before the producer has to wait. */
  readonly spillBytes: number;
  /** Opens a fresh, empty file; disposing of it gives its disk space back. */
  readonly openSpill: () => Promise<SpillFile>;
  /** A file is left for a new one after this many bytes, so that what was read back frees its space. */
  readonly spillFileBytes: number;
  /** Told once when the disk turns out to be full; from then on the producer waits instead. */
  readonly onSpillFull?: ((reason: unknown) => void) | undefined;
}

interface Segment {
  readonly file: SpillFile;
  written: number;
  unread: number;
}

type Held =
  | { readonly bytes: Uint8Array }
  | { readonly segment: Segment; readonly offset: number; readonly length: number };

/**
 * Passes bytes through unchanged and in order while reading `source` ahead of a slow consumer: into memory first, then
 * into a spill file, and only when both are full with back-pressure. A full disk is not an error: it ends the spilling.
 *
 * An error of `source` reaches the consumer at its next step. When the consumer stops early, `source` is closed.
 */
export async function* elasticBuffer(
  source: AsyncIterable<Uint8Array>,
  settings: ElasticBufferSettings,
): AsyncGenerator<Uint8Array, void> {
  await using queue = new SpillingQueue(settings);
  const producing = fill(queue, source);
  try {
    for (;;) {
      const chunk = await queue.take();
      if (chunk === undefined) break;
      yield chunk;
    }
  } finally {
    queue.close();
    await producing;
  }
}

async function fill(queue: SpillingQueue, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of source) {
      if (chunk.length > 0 && !(await queue.put(chunk))) return;
    }
    queue.end();
  } catch (error) {
    queue.fail(error);
  }
}

/** One producer, one consumer. */
class SpillingQueue implements AsyncDisposable {
  readonly #settings: ElasticBufferSettings;
  readonly #held: Held[] = [];
  #inMemory = 0;
  #onDisk = 0;
  readonly #segments = new Set<Segment>();
  #current: Segment | undefined;
  #spillFull = false;
  #state: 'open' | 'ended' | 'closed' = 'open';
  #failure: { readonly error: unknown } | undefined;
  #changed = Promise.withResolvers<undefined>();

  constructor(settings: ElasticBufferSettings) {
    this.#settings = settings;
  }

  /** Resolves to false when the consumer is gone. */
  async put(bytes: Uint8Array): Promise<boolean> {
    for (;;) {
      if (this.#state === 'closed') return false;
      if (this.#inMemory === 0 || this.#inMemory + bytes.length <= this.#settings.memoryBytes) {
        this.#inMemory += bytes.length;
        this.#held.push({ bytes });
        this.#wake();
        return true;
      }
      if (!this.#spillFull && this.#onDisk + bytes.length <= this.#settings.spillBytes) {
        if (await this.#spillOver(bytes)) return true;
        continue;
      }
      await this.#changed.promise;
    }
  }

  /** Resolves to undefined at the end; rejects with the producer's error. */
  async take(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const next = this.#held.shift();
      if (next !== undefined) {
        if ('bytes' in next) {
          this.#inMemory -= next.bytes.length;
          this.#wake();
          return next.bytes;
        }
        return await this.#readBack(next);
      }
      if (this.#state !== 'open') return undefined;
      await this.#changed.promise;
    }
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.end();
  }

  close(): void {
    this.#state = 'closed';
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#segments].map((segment) => segment.file[Symbol.asyncDispose]()));
  }

  async #spillOver(bytes: Uint8Array): Promise<boolean> {
    try {
      const segment = await this.#segmentFor(bytes);
      try {
        const offset = await segment.file.append(bytes);
        this.#held.push({ segment, offset, length: bytes.length });
      } catch (error) {
        segment.unread--;
        throw error;
      }
      this.#onDisk += bytes.length;
      this.#wake();
      return true;
    } catch (error) {
      this.#spillFull = true;
      this.#settings.onSpillFull?.(error);
      return false;
    }
  }

  /** The file to append to, already counting these bytes as unread. */
  async #segmentFor(bytes: Uint8Array): Promise<Segment> {
    if (this.#current === undefined || this.#current.written >= this.#settings.spillFileBytes) {
      const left = this.#current;
      this.#current = { file: await this.#settings.openSpill(), written: 0, unread: 0 };
      this.#segments.add(this.#current);
      if (left?.unread === 0) await this.#release(left);
    }
    this.#current.written += bytes.length;
    this.#current.unread++;
    return this.#current;
  }

  async #readBack(place: { segment: Segment; offset: number; length: number }): Promise<Uint8Array> {
    const bytes = await place.segment.file.read(place.offset, place.length);
    this.#onDisk -= place.length;
    place.segment.unread--;
    if (place.segment.unread === 0 && place.segment !== this.#current) await this.#release(place.segment);
    this.#wake();
    return bytes;
  }

  async #release(segment: Segment): Promise<void> {
    this.#segments.delete(segment);
    await segment.file[Symbol.asyncDispose]();
  }

  #wake(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
