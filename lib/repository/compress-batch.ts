import { Buffer } from 'node:buffer';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';

/**
 * One zstd frame (RFC 8878) with content size and checksum, independent of all others. The plain bytes must stay
 * untouched until then; the result holds on to no more memory than its length.
 */
export async function compressBatch(plain: Buffer): Promise<Buffer> {
  const frame = await zstdCompressAsync(plain, {
    pledgedSrcSize: plain.length,
    // Room for the worst case, so that libzstd compresses in one go, without a copy of its input.
    chunkSize: Math.max(64, plain.length + (plain.length >> 8) + 1024),
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_hashLog]: LONG_MATCH_LOG,
      [constants.ZSTD_c_chainLog]: SHORT_MATCH_LOG,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  return Buffer.from(frame);
}

const LEVEL = 3;
// Those of bases, see compress-frames.ts.
const LONG_MATCH_LOG = 15;
const SHORT_MATCH_LOG = 14;

const zstdCompressAsync = promisify(zstdCompress);
