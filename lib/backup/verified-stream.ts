import { type SnapshotStream } from '../etcd/client/etcd-client.ts';

/** Takes bytes in order; resolves when it can take more. The bytes may be reused by the caller then. */
export interface ByteTaker {
  write(bytes: Uint8Array): Promise<void>;
}

/** What is told while a snapshot passes. */
export interface StreamProgress {
  readonly receivedBytes: number;
  /** Known from the first piece on. */
  readonly totalBytes: number | undefined;
}

/**
 * Hands out a member's snapshot in pieces of `PIECE_BYTES`, each of which `verifier` got as well before it is handed
 * out. Both take the same passing bytes; nothing is read twice. A piece is valid until the next one is asked for.
 */
export async function* verifiedStream(
  snapshot: SnapshotStream,
  verifier: ByteTaker,
  onProgress: (progress: StreamProgress) => void,
): AsyncGenerator<Uint8Array, void> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  let filled = 0;
  for await (const blob of snapshot) {
    for (let at = 0; at < blob.length;) {
      const length = Math.min(blob.length - at, PIECE_BYTES - filled);
      piece.set(blob.subarray(at, at + length), filled);
      filled += length;
      at += length;
      if (filled < PIECE_BYTES) continue;
      await verifier.write(piece);
      onProgress({ receivedBytes: snapshot.receivedBytes, totalBytes: snapshot.totalBytes });
      yield piece;
      filled = 0;
    }
  }
  if (filled > 0) {
    const last = piece.subarray(0, filled);
    await verifier.write(last);
    yield last;
  }
  onProgress({ receivedBytes: snapshot.receivedBytes, totalBytes: snapshot.totalBytes });
}

/** etcd sends 32 KiB at a time; a thread is not woken for so little. */
const PIECE_BYTES = 1 << 20;
