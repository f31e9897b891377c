import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import { type Slot, SlotThread } from '../etcd/slot-thread.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { frameOptions } from './zstd-frame.ts';

/** How content is compressed: recorded in the manifest, and read back with any settings within `MAX_FRAME_SIZE`. */
export const COMPRESSION = { algorithm: 'zstd', level: 3, frameSize: 4 << 20 } as const;

/**
 * Compresses into independent zstd frames (RFC 8878) of `frameSize` plain bytes each, the last one shorter, with content
 * size and checksum. Concatenated frames are one valid `.zst` file. Empty input gives one empty frame.
 *
 * All but the first are compressed by a thread of their own, at some 0.5 GB/s: twice what a member streams. Three plain
 * and as many compressed frames are held at most.
 */
export async function* compressFrames(plain: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  await using compressor = new Compressor();
  yield* orderedAhead(cutFrames(plain, compressor), SLOTS, (frame) => compressor.compress(frame));
}

/** One is compressed while the next is filled. */
const SLOTS = 2;

/** Room for a frame's plain bytes, of which `length` are filled. */
interface Frame {
  readonly bytes: Buffer;
  readonly slot: Slot | undefined;
  length: number;
}

async function* cutFrames(
  plain: AsyncIterable<Uint8Array>,
  compressor: Compressor,
): AsyncGenerator<Frame, void> {
  let frame = await compressor.room();
  for await (const chunk of plain) {
    for (let at = 0; at < chunk.length;) {
      if (frame.length === frame.bytes.length) {
        yield frame;
        frame = await compressor.room();
      }
      const length = Math.min(chunk.length - at, frame.bytes.length - frame.length);
      frame.bytes.set(chunk.subarray(at, at + length), frame.length);
      frame.length += length;
      at += length;
    }
  }
  yield frame;
}

const zstdCompressAsync = promisify(zstdCompress);

/**
 * In this thread, V8 would mark its whole heap again after every few frames, for what libzstd's output takes beside the
 * heap; in a thread with next to no heap that costs nothing. What has one frame only isn't worth a thread.
 */
class Compressor implements AsyncDisposable {
  #first = true;
  #thread: SlotThread | undefined;

  async room(): Promise<Frame> {
    if (this.#first) {
      this.#first = false;
      return { bytes: Buffer.allocUnsafeSlow(COMPRESSION.frameSize), slot: undefined, length: 0 };
    }
    this.#thread ??= new SlotThread(new URL('./compress-worker.ts', import.meta.url), COMPRESSION.level, {
      count: SLOTS,
      size: COMPRESSION.frameSize,
    });
    const slot = await this.#thread.slot();
    return { bytes: slot.bytes, slot, length: 0 };
  }

  async compress({ bytes, slot, length }: Frame): Promise<Uint8Array> {
    if (slot === undefined || this.#thread === undefined) {
      return zstdCompressAsync(bytes.subarray(0, length), frameOptions(COMPRESSION.level, length));
    }
    this.#thread.send(slot, length);
    return (await this.#thread.ask(undefined)) as Uint8Array;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.[Symbol.asyncDispose]();
  }
}
