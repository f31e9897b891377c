import { Buffer } from 'node:buffer';
import { ByteWindow } from '../byte-window.ts';

const CHUNK_BITS = 18;
const CHUNK_SIZE = 1 << CHUNK_BITS;
const FIRST_CHUNK_SIZE = 1 << 13;
const LENGTH_SIZE = 4;

/**
 * Pieces of bytes kept until the end of a pass, packed into large chunks and found by a number below 2^32. What is
 * kept in all never exceeds the budget, which must stay below 2 GiB.
 */
export class KeptBytes {
  private readonly chunks: Buffer[] = [];
  /** Where the next piece goes in the last chunk. */
  private at = 0;
  private room: number;

  constructor(budget: number) {
    this.room = budget;
  }

  /** Allows `bytes` more. */
  extend(bytes: number): void {
    this.room += bytes;
  }

  /** Copies bytes[start, end); undefined when the budget doesn't allow it. */
  keep(bytes: Buffer, start: number, end: number): number | undefined {
    const size = LENGTH_SIZE + end - start;
    if (size > this.room) return undefined;
    this.room -= size;
    let chunk = this.chunks.at(-1);
    if (chunk === undefined || this.at + size > chunk.length) {
      const chunkSize = chunk === undefined ? FIRST_CHUNK_SIZE : CHUNK_SIZE;
      chunk = Buffer.allocUnsafeSlow(Math.max(size, chunkSize));
      this.chunks.push(chunk);
      this.at = 0;
    }
    const ref = (this.chunks.length - 1) * CHUNK_SIZE + this.at;
    chunk.writeUInt32LE(end - start, this.at);
    bytes.copy(chunk, this.at + LENGTH_SIZE, start, end);
    this.at += size;
    return ref;
  }

  read(ref: number): ByteWindow {
    const chunk = this.chunks[Math.floor(ref / CHUNK_SIZE)];
    if (chunk === undefined) throw new RangeError(`nothing is kept at ${ref}`);
    const start = (ref % CHUNK_SIZE) + LENGTH_SIZE;
    return new ByteWindow(chunk.subarray(start, start + chunk.readUInt32LE(start - LENGTH_SIZE)));
  }
}
