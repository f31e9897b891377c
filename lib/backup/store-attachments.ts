import { hasCode } from '../guardian-error.ts';
import type { BackupWriter } from '../repository/repository.ts';

/** Collects what a backup takes along beside etcd's data. It says what it couldn't have; it doesn't reject for that. */
export type AttachmentSource = (signal: AbortSignal | undefined) => Promise<CollectedAttachments>;

export interface CollectedAttachments {
  readonly attachments: readonly CollectedAttachment[];
  /** What should be among them and isn't, for people; undefined: nothing. */
  readonly leftOut: string | undefined;
}

export interface CollectedAttachment {
  /** As `BackupWriter.putAttachment` takes it. */
  readonly name: string;
  readonly plain: () => Iterable<Uint8Array>;
}

export interface StoredAttachments {
  readonly stored: number;
  readonly leftOut: string | undefined;
}

/**
 * Stores what is taken along, encrypted or not at all: a backup without a key goes without, and says so. Resolves to
 * undefined where nothing is asked for; rejects as the writer does when the store fails.
 */
export async function storeAttachments(
  source: AttachmentSource | undefined,
  writer: Pick<BackupWriter, 'putAttachment'>,
  signal: AbortSignal | undefined,
): Promise<StoredAttachments | undefined> {
  if (source === undefined) return undefined;
  const { attachments, leftOut } = await source(signal);
  for (const { name, plain } of attachments) {
    try {
      await writer.putAttachment(name, chunksOf(plain), { signal });
    } catch (error) {
      if (!hasCode(error, 'repository.attachment-plaintext')) throw error;
      return { stored: 0, leftOut: 'they are never stored unencrypted, and this backup has no key' };
    }
  }
  return { stored: attachments.length, leftOut };
}

/** Nothing is read before the writer has taken it. */
async function* chunksOf(plain: () => Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  await Promise.resolve();
  yield* plain();
}
