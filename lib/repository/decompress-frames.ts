import type { Buffer } from 'node:buffer';
import { promisify } from 'node:util';
import { constants, zstdDecompress } from 'node:zlib';
import { reasonOf } from '../guardian-error.ts';
import { damaged, type Frame, splitFrames } from './frame-splitter.ts';
import { orderedAhead } from './ordered-ahead.ts';

/** The largest frame that is read, whatever a manifest says: bounds the memory that a hostile store can make us take. */
export const MAX_FRAME_SIZE = 64 << 20;

export interface FramesToRead {
  /** Plain bytes in all; more or fewer are refused. */
  readonly plainSize: number;
  /** Plain bytes of the largest frame, at most `MAX_FRAME_SIZE`. */
  readonly frameSize: number;
  /** Names the object in errors. */
  readonly what: string;
}

/**
 * The plain bytes of what `compressFrames` wrote, each frame checked against its own checksum before it is handed out.
 * Rejects with `repository.damaged`, naming the offset among the compressed bytes, as soon as a frame is broken, or
 * would give more than it or the manifest announces.
 */
export async function* decompressFrames(
  compressed: AsyncIterable<Uint8Array>,
  { plainSize, frameSize, what }: FramesToRead,
): AsyncGenerator<Buffer, void> {
  let announced = 0;
  let offset = 0;
  const largest = Math.min(frameSize, plainSize, MAX_FRAME_SIZE);
  async function* withinPlainSize(): AsyncGenerator<Frame, void> {
    for await (const frame of splitFrames(compressed, largest, what)) {
      announced += frame.contentSize;
      if (announced > plainSize) {
        throw damaged(what, frame.offset, `it holds more than the ${plainSize} plain bytes that it should`);
      }
      yield frame;
      offset = frame.offset + frame.bytes.length;
    }
  }
  for await (const plain of orderedAhead(withinPlainSize(), THREADS, (frame) => decompress(frame, what))) {
    if (plain.length > 0) yield plain;
  }
  if (announced < plainSize) {
    throw damaged(what, offset, `it ends after ${announced} of ${plainSize} plain bytes`);
  }
}

const THREADS = 2;
/** That of the largest frame. */
const LARGEST_WINDOW_LOG = Math.log2(MAX_FRAME_SIZE);

const zstdDecompressAsync = promisify(zstdDecompress);

async function decompress(frame: Frame, what: string): Promise<Buffer> {
  const { contentSize } = frame;
  let plain: Buffer;
  try {
    plain = await zstdDecompressAsync(frame.bytes, {
      // zlib refuses limits of 0 and counts the limit as reached only beyond it.
      maxOutputLength: contentSize + 1,
      chunkSize: Math.max(64, contentSize),
      params: { [constants.ZSTD_d_windowLogMax]: LARGEST_WINDOW_LOG },
    });
  } catch (error) {
    throw damaged(what, frame.offset, reasonOf(error), error);
  }
  if (plain.length !== contentSize) {
    const reason = `the frame holds ${plain.length} plain bytes, not the ${contentSize} that it announces`;
    throw damaged(what, frame.offset, reason);
  }
  return plain;
}
