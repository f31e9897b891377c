import type { SnapshotStream } from '../etcd/client/etcd-client.ts';

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
 * Hands out a member's snapshot piece by piece, each of which `verifier` got as well before it is handed out. Both take
 * the same passing bytes; nothing is read twice. A piece is valid until the next one is asked for.
 */
export async function* verifiedStream(
  snapshot: SnapshotStream,
  verifier: ByteTaker,
  onProgress: (progress: StreamProgress) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const piece of snapshot) {
    await verifier.write(piece);
    onProgress({ receivedBytes: snapshot.receivedBytes, totalBytes: snapshot.totalBytes });
    yield piece;
  }
}
