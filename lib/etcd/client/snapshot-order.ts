import type { SnapshotPiece } from './snapshot-piece.ts';

/** Of the sha256 that etcd sends after the database. */
const DIGEST_BYTES = 32;

/** Follows the pieces of a snapshot: first those of the database, which count down what remains, then its digest. */
export class SnapshotOrder {
  /** Of the database, without the digest; known from the first piece on. */
  totalBytes: number | undefined;
  /** Of the database. */
  receivedBytes = 0;
  storageVersion: string | undefined;
  /** True once the digest came, after all of the database. */
  complete = false;

  /** False at a piece that doesn't follow from those before. */
  take({ blob, remainingBytes, storageVersion }: SnapshotPiece): boolean {
    if (this.totalBytes === undefined) {
      this.totalBytes = blob.length + remainingBytes;
      this.storageVersion = storageVersion === '' ? undefined : storageVersion;
    }
    if (this.receivedBytes < this.totalBytes) {
      this.receivedBytes += blob.length;
      return this.receivedBytes + remainingBytes === this.totalBytes;
    }
    if (this.complete || blob.length !== DIGEST_BYTES) return false;
    this.complete = true;
    return true;
  }
}
