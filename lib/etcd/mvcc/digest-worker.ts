import { serveSlots } from '../slot-service.ts';
import { SnapshotDigest } from './snapshot-digest.ts';

/** A worker thread that hashes what passes; asked anything, it answers with the DatabaseDigest. */
await serveSlots(() => {
  const digest = new SnapshotDigest();
  return {
    write(bytes) {
      digest.update(bytes);
    },
    answer: () => digest.finish(),
  };
});
