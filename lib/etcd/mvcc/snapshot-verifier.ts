import { judge, verdictOf } from './judge.ts';
import { SnapshotDigest } from './snapshot-digest.ts';
import { SnapshotPass, type SnapshotPassOptions } from './snapshot-pass.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';

export interface SnapshotVerifier {
  /** The next bytes of the file; they belong to the caller again when this returns. */
  write(chunk: Uint8Array): void;
  /** The verdict over all bytes written. Takes about a second for three million entries. */
  finish(): SnapshotVerdict;
}

/**
 * Verifies a snapshot while its bytes pass, in this thread: the trailer, every page, every record, and how records
 * relate. Memory follows the number of entries, about 26 bytes each, never the size. Whatever the bytes are, it
 * answers with a verdict.
 */
export function createSnapshotVerifier(options: SnapshotPassOptions): SnapshotVerifier {
  const pass = new SnapshotPass(options);
  const digest = new SnapshotDigest();
  return {
    write(chunk) {
      digest.update(chunk);
      pass.write(chunk);
    },
    finish() {
      const hashes = digest.finish();
      return verdictOf(judge(pass.finish(hashes), hashes, options.grouping));
    },
  };
}
