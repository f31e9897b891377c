import { createReadStream } from 'node:fs';
import { constants, createZstdCompress } from 'node:zlib';
import { compressFrames } from '../lib/repository/compress-frames.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { benchBytes } from './bench-etcd.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';
import { ratioLine, say } from './report.ts';

/** Bytes in the store, beside one `zstd -3` stream of the same file (libzstd, as the zstd program calls it). */
export async function benchStoredSize(): Promise<void> {
  say('\nStored size, beside zstd -3');
  await using folder = await temporaryFolder();
  const file = folder.join('made.db');
  await writeKubernetesDatabase(file, { seed: 'bench', targetBytes: Math.min(benchBytes(), 1_000_000_000) });
  const read = (): AsyncIterable<Uint8Array> => createReadStream(file, { highWaterMark: 1 << 20 });
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const theirs = await sizeOf(createReadStream(file, { highWaterMark: 1 << 20 }).pipe(zstd));
  const ours = await sizeOf(compressFrames(read()));
  say(`  zstd -3 ${(theirs / 2 ** 20).toFixed(1)} MiB, ours ${(ours / 2 ** 20).toFixed(1)} MiB`);
  say(ratioLine('size', ours / theirs, '≤ 1.02'));
}

async function sizeOf(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of chunks) size += chunk.length;
  return size;
}
