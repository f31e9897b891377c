import { diskError } from '../etcd/durable-file.ts';
import { SnapshotDigest } from '../etcd/mvcc/snapshot-digest.ts';
import { openStreamFile } from '../etcd/stream-file.ts';
import type { CallOptions } from './call-options.ts';
import { damagedDocument } from './document.ts';
import type { Repository, SoundBackup } from './repository.ts';

export interface FetchOptions extends CallOptions {
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

/**
 * Writes the snapshot file of a base to `path` (mode 0600, not synced). It is the very file that was verified when it was
 * backed up: its sha256 is compared with the manifest's. Rejects with `repository.damaged`, what `readBase` rejects with,
 * and errors of the disk; the file is then to be thrown away.
 */
export async function fetchBase(
  repository: Pick<Repository, 'readBase'>,
  base: SoundBackup,
  path: string,
  { signal, onProgress }: FetchOptions = {},
): Promise<void> {
  const { base: content, snapshot } = base.manifest;
  const digest = new SnapshotDigest();
  try {
    await using file = await openStreamFile(path);
    let done = 0;
    for await (const chunk of repository.readBase(base, { signal })) {
      await file.write(chunk);
      digest.update(chunk);
      done += chunk.length;
      onProgress?.(done, content.plainSize);
    }
    await file.finish();
  } catch (error) {
    throw diskError(error, `writing ${path}`);
  }
  const { trailer, sha256 } = digest.finish();
  if (trailer !== 'ok' || sha256 !== snapshot.sha256) {
    throw damagedDocument(content.name, 'the sha256 of the snapshot in it is not the one in the manifest');
  }
}
