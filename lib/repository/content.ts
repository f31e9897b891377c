import { createHash, type Hash } from 'node:crypto';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { untilAborted } from '../storage/until-aborted.ts';
import { compressFrames, COMPRESSION } from './compress-frames.ts';
import { decompressFrames } from './decompress-frames.ts';
import { damagedDocument } from './document.ts';
import type { StoredContent } from './manifest.ts';
import type { BackupPlace, RepositorySettings } from './repository.ts';

export interface PutContentOptions {
  readonly retainUntil?: Date | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadContentOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of stored bytes as they are read. */
  readonly onStored?: ((length: number) => void) | undefined;
}

/** Compresses, seals if there is an encryption, and stores. Rethrows what `plain` throws; then nothing is stored. */
export async function putContent(
  { store, encryption }: RepositorySettings,
  { cluster, timeline }: BackupPlace,
  name: string,
  plain: AsyncIterable<Uint8Array>,
  options: PutContentOptions,
): Promise<StoredContent> {
  let plainSize = 0;
  const stored = new Tally();
  const counted = async function* (): AsyncGenerator<Uint8Array, void> {
    // Stopped here: what follows can swallow much of it before it gives anything at which it would be stopped.
    for await (const chunk of untilAborted(plain, options.signal)) {
      plainSize += chunk.length;
      yield chunk;
    }
  };
  const compressed = compressFrames(counted());
  const sealed = encryption?.seal(compressed, { cluster, timeline, object: name }, options) ?? compressed;
  const { size } = await store.put(name, stored.of(sealed), options);
  if (size !== stored.bytes) {
    throw new GuardianError(
      'store.corrupt',
      `${store.location} keeps ${size} bytes of ${name}; ${stored.bytes} were sent`,
    );
  }
  return {
    name,
    plainSize,
    storedSize: stored.bytes,
    sha256: stored.sha256(),
    compression: COMPRESSION,
    recipients: (encryption?.recipients ?? []).map(({ id, kind }) => ({ id, kind })),
  };
}

/**
 * The plain bytes of what `putContent` stored. Rejects as soon as they can't be the right ones; what was read counts
 * only once the iteration has ended without error.
 */
export async function* readContent(
  settings: RepositorySettings,
  { cluster, timeline }: BackupPlace,
  content: StoredContent,
  options: ReadContentOptions,
): AsyncGenerator<Uint8Array, void> {
  const { name, plainSize, compression } = content;
  const stored = readStored(settings, content, options);
  const compressed =
    unsealed(settings, content)?.open(stored, { cluster, timeline, object: name }, options) ?? stored;
  yield* decompressFrames(compressed, { plainSize, frameSize: compression.frameSize, what: name });
}

/** The bytes as stored. Rejects, at the latest at their end, when they are not what the manifest says. */
export async function* readStored(
  { store }: RepositorySettings,
  { name, storedSize, sha256 }: StoredContent,
  { signal, onStored }: ReadContentOptions,
): AsyncGenerator<Uint8Array, void> {
  const read = new Tally();
  for await (const chunk of read.of(present(store.get(name, { signal }), name))) {
    if (read.bytes > storedSize)
      throw damagedDocument(name, `it has more than the ${storedSize} bytes it should`);
    onStored?.(chunk.length);
    yield chunk;
  }
  if (read.bytes < storedSize)
    throw damagedDocument(name, `it ends after ${read.bytes} of ${storedSize} bytes`);
  if (read.sha256() !== sha256) throw damagedDocument(name, 'its SHA-256 is not the one in the manifest');
}

/** A manifest without its data is damage, not a wrong name. */
async function* present(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array, void> {
  try {
    yield* chunks;
  } catch (error) {
    if (!hasCode(error, 'store.not-found')) throw error;
    throw new GuardianError('repository.missing', `${name} is gone, although its manifest is there`, {
      hint: 'Someone or something deleted it: use another backup; a versioned bucket may still hold it.',
      cause: error,
    });
  }
}

/** What opens an object; undefined when it is stored in plain and that is acceptable. */
export function unsealed(
  { encryption }: RepositorySettings,
  content: Pick<StoredContent, 'name' | 'recipients'>,
): RepositorySettings['encryption'] {
  const sealedFor = content.recipients.map(({ id }) => id).join(', ');
  if (sealedFor !== '' && encryption === undefined) {
    throw new GuardianError('encryption.key-missing', `${content.name} is encrypted, and no key was given`, {
      hint: `Give the key file that holds one of ${sealedFor}.`,
    });
  }
  if (sealedFor === '' && encryption !== undefined) {
    throw new GuardianError(
      'encryption.plaintext',
      `${content.name} is not encrypted, although a key is configured`,
      {
        hint: 'If it was made before encryption was set up, read it without the encryption key.',
      },
    );
  }
  return encryption;
}

/** Counts and hashes bytes that pass. */
class Tally {
  readonly #hash: Hash = createHash('sha256');
  bytes = 0;

  async *of(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of chunks) {
      this.bytes += chunk.length;
      this.#hash.update(chunk);
      yield chunk;
    }
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}
