import { Buffer } from 'node:buffer';
import { GuardianError } from '../guardian-error.ts';

/** One zstd frame as stored. */
export interface Frame {
  /** Valid until two more frames were asked for. */
  readonly bytes: Buffer;
  /** Where it begins among the compressed bytes. */
  readonly offset: number;
  /** Plain bytes that it says to hold. */
  readonly contentSize: number;
}

/**
 * Cuts compressed bytes into their zstd frames (RFC 8878, 3.1.1), accepting only such as docs/format.md allows: with
 * content size, at most `maxContentSize`, and checksum, without dictionary; no skippable frames. Hostile input costs
 * no more memory than three of the largest frames. Rejects with `repository.damaged` naming `what` and the offset.
 */
export async function* splitFrames(
  compressed: AsyncIterable<Uint8Array>,
  maxContentSize: number,
  what: string,
): AsyncGenerator<Frame, void> {
  const buffers = [0, 1, 2].map(() => Buffer.allocUnsafeSlow(largestFrame(maxContentSize)));
  let frames = 0;
  let offset = 0;
  let parser = new FrameParser(buffers[0] ?? Buffer.alloc(0), maxContentSize);
  for await (const chunk of compressed) {
    for (let at = 0; at < chunk.length;) {
      at = parser.take(chunk, at);
      if (parser.fault !== undefined) throw damaged(what, offset + parser.filled, parser.fault);
      if (!parser.complete) continue;
      yield { bytes: parser.frame(), offset, contentSize: parser.contentSize };
      offset += parser.filled;
      frames++;
      parser = new FrameParser(buffers[frames % buffers.length] ?? Buffer.alloc(0), maxContentSize);
    }
  }
  if (parser.filled > 0) throw damaged(what, offset + parser.filled, 'it ends in the middle of a frame');
}

/** What is wrong with compressed bytes, as an error. */
export function damaged(what: string, offset: number, reason: string, cause?: unknown): GuardianError {
  return new GuardianError('repository.damaged', `${what} is damaged at stored byte ${offset}: ${reason}`, {
    hint: 'Use another backup, or another copy of this object.',
    cause,
  });
}

const MAGIC = 0xfd2fb528;
const MAX_BLOCK = 1 << 17;
const CHECKSUM_SIZE = 4;

/** zstd's own bound for incompressible input, and room for a header and the checksum. */
function largestFrame(contentSize: number): number {
  return contentSize + Math.ceil(contentSize / 256) + (1 << 16);
}

/** Copies one frame out of passing bytes, stopping at its end. */
class FrameParser {
  readonly #bytes: Buffer;
  readonly #maxContentSize: number;
  /** Bytes needed before the next step can be taken. */
  #needed = 5;
  #step: 'descriptor' | 'header' | 'block' | 'checksum' | 'end' = 'descriptor';
  filled = 0;
  contentSize = 0;
  fault: string | undefined;

  constructor(bytes: Buffer, maxContentSize: number) {
    this.#bytes = bytes;
    this.#maxContentSize = maxContentSize;
  }

  get complete(): boolean {
    return this.#step === 'end';
  }

  frame(): Buffer {
    return this.#bytes.subarray(0, this.filled);
  }

  /** Takes bytes of `chunk` from `at` on, no further than the frame's end or a fault; returns where it stopped. */
  take(chunk: Uint8Array, at: number): number {
    let taken = at;
    while (this.fault === undefined && !this.complete) {
      const length = Math.min(this.#needed - this.filled, chunk.length - taken);
      this.#bytes.set(chunk.subarray(taken, taken + length), this.filled);
      this.filled += length;
      taken += length;
      if (this.filled < this.#needed) break;
      this.#advance();
    }
    return taken;
  }

  #advance(): void {
    switch (this.#step) {
      case 'descriptor':
        this.#readDescriptor();
        return;
      case 'header':
        this.#readHeader();
        return;
      case 'block':
        this.#readBlockHeader();
        return;
      case 'checksum':
        this.#step = 'end';
        return;
      case 'end':
        return;
    }
  }

  #readDescriptor(): void {
    const descriptor = this.#bytes.readUInt8(4);
    if (this.#bytes.readUInt32LE(0) !== MAGIC) this.fault = 'no zstd frame begins here';
    else if ((descriptor & 0x18) !== 0) this.fault = 'the frame has unknown flags';
    else if ((descriptor & 0x03) !== 0) this.fault = 'the frame needs a dictionary';
    else if ((descriptor & 0x04) === 0) this.fault = 'the frame has no checksum';
    else if (sizeFieldLength(descriptor) === 0) this.fault = "the frame doesn't tell its content size";
    this.#step = 'header';
    this.#needed = 5 + windowFieldLength(descriptor) + sizeFieldLength(descriptor);
  }

  #readHeader(): void {
    const descriptor = this.#bytes.readUInt8(4);
    const at = 5 + windowFieldLength(descriptor);
    const length = sizeFieldLength(descriptor);
    if (length === 8) this.contentSize = Number(this.#bytes.readBigUInt64LE(at));
    else this.contentSize = this.#bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0);
    if (this.contentSize > this.#maxContentSize) {
      this.fault = `the frame announces ${this.contentSize} plain bytes, more than the ${this.#maxContentSize} that one may hold`;
    }
    this.#step = 'block';
    this.#needed += 3;
  }

  #readBlockHeader(): void {
    const header = this.#bytes.readUIntLE(this.#needed - 3, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) this.fault = 'a block has an unknown type';
    else if (size > MAX_BLOCK) this.fault = `a block announces ${size} bytes, more than zstd allows`;
    this.#needed += type === 1 ? 1 : size;
    const last = (header & 1) === 1;
    this.#step = last ? 'checksum' : 'block';
    this.#needed += last ? CHECKSUM_SIZE : 3;
    if (this.#needed > this.#bytes.length) this.fault = 'the frame is longer than its content can need';
  }
}

function windowFieldLength(descriptor: number): number {
  return (descriptor & 0x20) === 0 ? 1 : 0;
}

function sizeFieldLength(descriptor: number): number {
  const flag = descriptor >> 6;
  if (flag === 0) return (descriptor & 0x20) === 0 ? 0 : 1;
  return 1 << flag;
}
