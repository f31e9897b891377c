/** Reads a stream of chunks in lengths of the reader's choosing; copies only what spans chunks. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array, unknown>;
  #pending: Uint8Array = EMPTY;
  #consumed = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** How many bytes were taken so far: the position of the next one. */
  get position(): number {
    return this.#consumed;
  }

  /** The next `length` bytes, fewer only where the stream ends, without taking them. */
  async peek(length: number): Promise<Buffer> {
    if (this.#pending.length < length) {
      const pieces = [this.#pending];
      for (let bytes = this.#pending.length; bytes < length;) {
        const { done, value } = await this.#chunks.next();
        if (done === true) break;
        pieces.push(value);
        bytes += value.length;
      }
      this.#pending = Buffer.concat(pieces);
    }
    return asBuffer(this.#pending.subarray(0, length));
  }

  /** The next `length` bytes, fewer only where the stream ends. */
  async take(length: number): Promise<Buffer> {
    const bytes = await this.peek(length);
    this.#advance(bytes.length);
    return bytes;
  }

  /** What comes next, at least one and at most `limit` bytes, as it lies in memory; empty where the stream ends. */
  async takeSome(limit: number): Promise<Buffer> {
    while (this.#pending.length === 0) {
      const chunk = await this.#next();
      if (chunk === undefined) return EMPTY;
      this.#pending = chunk;
    }
    const bytes = asBuffer(this.#pending.subarray(0, limit));
    this.#advance(bytes.length);
    return bytes;
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(): Promise<Uint8Array | undefined> {
    const result: IteratorResult<Uint8Array, unknown> = await this.#chunks.next();
    return result.done === true ? undefined : result.value;
  }

  #advance(length: number): void {
    this.#pending = this.#pending.subarray(length);
    this.#consumed += length;
  }
}

const EMPTY = Buffer.alloc(0);

/** The same bytes, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
