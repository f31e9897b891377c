import { createHash } from 'node:crypto';

/** The trailer of a snapshot: SHA-256 of all bytes before it. */
export const TRAILER_SIZE = 32;

export interface DatabaseDigest {
  readonly trailer: 'ok' | 'mismatch' | 'missing';
  /** Of the database without the trailer; lower-case hex. */
  readonly sha256: string;
}

/**
 * True when a file of this size ends in a trailer: pages are multiples of 512 bytes. etcd's own tools have no other
 * way to tell either.
 */
export function hasTrailer(size: number): boolean {
  return size % 512 === TRAILER_SIZE;
}

/** Hashes a snapshot that streams past and compares its trailer. */
export class SnapshotDigest {
  private readonly hash = createHash('sha256');
  /** The last bytes, which are the trailer if nothing follows. */
  private tail = Buffer.alloc(0);
  private size = 0;

  update(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (chunk.length < TRAILER_SIZE) {
      const tail = Buffer.concat([this.tail, chunk]);
      const surplus = Math.max(0, tail.length - TRAILER_SIZE);
      this.hash.update(tail.subarray(0, surplus));
      this.tail = tail.subarray(surplus);
      return;
    }
    this.hash.update(this.tail);
    this.hash.update(chunk.subarray(0, chunk.length - TRAILER_SIZE));
    this.tail = Buffer.from(chunk.subarray(chunk.length - TRAILER_SIZE));
  }

  finish(): DatabaseDigest {
    if (!hasTrailer(this.size)) {
      return { trailer: 'missing', sha256: this.hash.update(this.tail).digest('hex') };
    }
    const digest = this.hash.digest();
    return { trailer: digest.equals(this.tail) ? 'ok' : 'mismatch', sha256: digest.toString('hex') };
  }
}
