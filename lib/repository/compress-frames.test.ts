import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { COMPRESSION, compressFrames } from './compress-frames.ts';
import { decompressFrames } from './decompress-frames.ts';

const frameSize = COMPRESSION.frameSize;

test('what is compressed comes back, at sizes around the frame', async () => {
  for (const size of [0, 1, 255, 256, 70_000, frameSize - 1, frameSize, frameSize + 1, 5 * frameSize + 7]) {
    const plain = mixed(size);
    const stored = await collect(compressFrames(pieces(plain, 100_003)));
    const back = await collect(decompress(pieces(stored, 65_537), size));
    assert.equal(sha256(back), sha256(plain), `size ${size}`);
  }
});

test('pieces of any length give the same stored bytes', async () => {
  const plain = mixed(2 * frameSize + 12_345);
  const whole = await collect(compressFrames(pieces(plain, plain.length)));
  for (const length of [32 << 10, 1 << 20, frameSize + 1]) {
    assert.equal(sha256(await collect(compressFrames(pieces(plain, length)))), sha256(whole));
  }
});

test('frames that any length of stored pieces cuts are found', async () => {
  const plain = mixed(3000);
  const stored = Buffer.concat([0, 1000, 2000].map((at) => frame(plain.subarray(at, at + 1000))));
  for (const length of [1, 2, 3, 5, 7, 64, stored.length]) {
    assert.deepEqual(await collect(decompress(pieces(stored, length), 3000)), plain, `pieces of ${length}`);
  }
});

test('an error of the source reaches the reader, and the source of a reader that leaves is closed', async () => {
  const broken = (async function* () {
    yield mixed(frameSize);
    await Promise.resolve();
    throw new Error('etcd went away');
  })();
  await assert.rejects(collect(compressFrames(broken)), /etcd went away/);

  let closed = false;
  const endless = (async function* () {
    try {
      for (;;) yield await Promise.resolve(mixed(frameSize));
    } finally {
      closed = true;
    }
  })();
  for await (const chunk of compressFrames(endless)) if (chunk.length > 0) break;
  assert.ok(closed);
});

test('compressed bytes are refused with their offset when they give other than announced', async () => {
  const good = frame(mixed(1000));
  const cases: [string, Buffer, number, RegExp][] = [
    ['nothing at all', Buffer.alloc(0), 1000, /byte 0: it ends after 0 of 1000/],
    ['one frame too many', Buffer.concat([good, good]), 1000, /more than the 1000 plain bytes/],
    ['one frame too few', good, 2000, /ends after 1000 of 2000/],
    ['cut short', good.subarray(0, -1), 1000, /in the middle of a frame/],
    ['no frame', Buffer.from('not zstd at all'), 1000, /byte 5: no zstd frame begins here/],
    ['a skippable frame', Buffer.from('502a4d180400000000000000', 'hex'), 1000, /no zstd frame/],
    ['no content size', withoutContentSize(mixed(1000)), 1000, /content size/],
    ['no checksum', zstdCompressSync(mixed(1000), { pledgedSrcSize: 1000 }), 1000, /no checksum/],
    [
      'second frame broken',
      Buffer.concat([good, flipped(good, 40)]),
      2000,
      new RegExp(`byte ${good.length}`),
    ],
  ];
  for (const [name, stored, plainSize, message] of cases) {
    await assert.rejects(
      collect(decompress(pieces(stored, 4096), plainSize)),
      { code: 'repository.damaged', message },
      name,
    );
  }
});

test('a bomb is refused before it grows: announced size, real size, endless blocks', async () => {
  const announcing = zstdCompressSync(Buffer.alloc(100 << 20), { ...checksum, pledgedSrcSize: 100 << 20 });
  await assert.rejects(collect(decompress(pieces(announcing, 4096), 100 << 20)), {
    code: 'repository.damaged',
    message: /announces 104857600 plain bytes/,
  });

  // Says 1,000 bytes and holds 50 MB.
  const lying = zstdCompressSync(Buffer.alloc(50_000_000), { ...checksum, pledgedSrcSize: 50_000_000 });
  assert.equal(lying.readUInt32LE(6), 50_000_000);
  lying.writeUInt32LE(1000, 6);
  await assert.rejects(collect(decompress(pieces(lying, 4096), 1000)), { code: 'repository.damaged' });

  const endless = (async function* () {
    yield Buffer.from('28b52ffd64e8030a', 'hex');
    const blocks = Buffer.alloc(3 << 20);
    for (;;) yield await Promise.resolve(blocks);
  })();
  await assert.rejects(collect(decompress(endless, 2000)), {
    code: 'repository.damaged',
    message: /longer than its content can need/,
  });
});

test('every single-byte flip of a frame is detected', async () => {
  const plain = mixed(600);
  const stored = frame(plain);
  for (let at = 0; at < stored.length; at++) {
    for (const mask of [0x01, 0x80]) {
      const result = await collect(decompress(pieces(flipped(stored, at, mask), 4096), 600)).catch(
        (error: unknown) => error,
      );
      // Some flips of the header's window size change nothing; those of stored content, its sha256 tells.
      const harmless = Buffer.isBuffer(result) && result.equals(plain);
      assert.ok(result instanceof Error || harmless, `byte ${at}`);
    }
  }
});

const checksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

function frame(plain: Buffer): Buffer {
  return zstdCompressSync(plain, { ...checksum, pledgedSrcSize: plain.length });
}

function withoutContentSize(plain: Buffer): Buffer {
  const params = { ...checksum.params, [constants.ZSTD_c_contentSizeFlag]: 0 };
  return zstdCompressSync(plain, { params });
}

function decompress(stored: AsyncIterable<Uint8Array>, plainSize: number): AsyncIterable<Buffer> {
  return decompressFrames(stored, {
    plainSize,
    frameSize: frameSize,
    what: 'base.zst',
  });
}

/** Half compressible, half not. */
function mixed(size: number): Buffer {
  const bytes = Buffer.alloc(size, '/registry/pods/default/web-');
  randomBytes(size >> 1).copy(bytes, size >> 2);
  return bytes;
}

function flipped(bytes: Buffer, at: number, mask = 0x10): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}

async function* pieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array, void> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('each frame is what any zstd reads', async () => {
  const plain = mixed(1_000_000);
  assert.deepEqual(zstdDecompressSync(await collect(compressFrames(pieces(plain, 99_999)))), plain);
});
