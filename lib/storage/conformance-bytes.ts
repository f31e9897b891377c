import { createCipheriv, createHash } from 'node:crypto';

export const MIB = 1 << 20;

/**
 * `total` incompressible bytes that depend only on `seed`, in chunks of `chunkBytes`. Every chunk is the same buffer,
 * overwritten: whoever keeps one past the next shows wrong bytes.
 */
export async function* randomBody(
  seed: string,
  total: number,
  chunkBytes: number = 1 << 16,
): AsyncGenerator<Buffer, void> {
  const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(chunkBytes);
  const chunk = Buffer.alloc(chunkBytes);
  for (let left = total; left > 0; left -= chunkBytes) {
    const length = Math.min(left, chunkBytes);
    cipher.update(zeros.subarray(0, length)).copy(chunk);
    await Promise.resolve();
    yield chunk.subarray(0, length);
  }
}

/** `total` bytes, each MiB of them different, that cost the process which makes them neither memory nor much time. */
export async function* stampedBody(total: number): AsyncGenerator<Buffer, void> {
  const chunk = await randomBytes('stamped', MIB);
  for (let given = 0; given < total; given += chunk.length) {
    chunk.writeDoubleBE(given);
    yield chunk.subarray(0, Math.min(chunk.length, total - given));
  }
}

/** What `randomBody` gives, at once. */
export async function randomBytes(seed: string, total: number): Promise<Buffer> {
  return collect(randomBody(seed, total));
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export async function digest(body: AsyncIterable<Uint8Array>): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { sha256: hash.digest('hex'), size };
}
