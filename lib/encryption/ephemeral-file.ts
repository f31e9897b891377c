import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/**
 * Disk as an overflow of memory. What lies there is encrypted and authenticated (AES-256-GCM) under a key that exists
 * only in this process, in a file that has no name any more: after a crash nothing is left, and nothing readable.
 */
export interface EphemeralFile extends AsyncDisposable {
  /**
   * Writes the bytes behind all others and resolves to their offset. Rejects with `spool.full` when the disk has no
   * more room, `spool.failed` for any other failure; what was written before stays readable.
   */
  append(bytes: Uint8Array): Promise<number>;
  /** What one `append` wrote, whole. Rejects with `spool.corrupt` when the disk gives back other bytes. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A new empty file in `folder`, for this process alone. Rejects with `spool.failed`. */
export async function openEphemeralFile(folder: string): Promise<EphemeralFile> {
  const path = join(folder, `.etcdguardian-spool-${randomBytes(8).toString('hex')}`);
  let handle: FileHandle;
  try {
    handle = await open(path, 'wx+', 0o600);
  } catch (error) {
    throw failure(folder, 'create', error);
  }
  try {
    await unlink(path);
  } catch (error) {
    await handle.close();
    throw failure(folder, 'unlink', error);
  }
  return new UnnamedFile(folder, handle);
}

interface Chunk {
  /** Its place in the order of writing; the nonce, so never used twice under this file's key. */
  readonly number: number;
  readonly length: number;
  readonly tag: Buffer;
}

class UnnamedFile implements EphemeralFile {
  readonly #folder: string;
  readonly #handle: FileHandle;
  readonly #key: KeyObject = createSecretKey(randomBytes(32));
  readonly #chunks = new Map<number, Chunk>();
  #size = 0;
  #written = 0;

  constructor(folder: string, handle: FileHandle) {
    this.#folder = folder;
    this.#handle = handle;
  }

  async append(bytes: Uint8Array): Promise<number> {
    const number = this.#written++;
    const offset = this.#size;
    this.#size += bytes.length;
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce(number));
    const encrypted = cipher.update(bytes);
    cipher.final();
    await this.#write(encrypted, offset);
    this.#chunks.set(offset, { number, length: bytes.length, tag: cipher.getAuthTag() });
    return offset;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const chunk = this.#chunks.get(offset);
    if (chunk?.length !== length) {
      throw new RangeError(`nothing of ${length} bytes was appended at offset ${offset}`);
    }
    const encrypted = await this.#read(offset, length);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce(chunk.number)).setAuthTag(chunk.tag);
    const bytes = decipher.update(encrypted);
    try {
      decipher.final();
    } catch (error) {
      throw corrupt(this.#folder, `${length} bytes came back changed`, error);
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  async #write(bytes: Uint8Array, offset: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        done += (await this.#handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
    } catch (error) {
      throw failure(this.#folder, 'write to', error);
    }
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#handle
        .read(bytes, done, length - done, offset + done)
        .catch((error: unknown) => {
          throw failure(this.#folder, 'read', error);
        });
      if (bytesRead === 0) throw corrupt(this.#folder, `it ends at byte ${offset + done}`);
      done += bytesRead;
    }
    return bytes;
  }
}

function nonce(number: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntBE(number, 6, 6);
  return bytes;
}

function failure(folder: string, what: string, error: unknown): GuardianError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new GuardianError('spool.full', `no more room for the spool file in ${folder}`, {
      hint: 'Free some space there, or choose another folder for the spool.',
      cause: error,
    });
  }
  return new GuardianError('spool.failed', `can't ${what} the spool file in ${folder}: ${reasonOf(error)}`, {
    hint: 'Choose a folder for the spool that exists, on a local disk, and that this user may write.',
    cause: error,
  });
}

function corrupt(folder: string, what: string, cause?: unknown): GuardianError {
  return new GuardianError('spool.corrupt', `the spool file in ${folder} is damaged: ${what}`, {
    hint: 'The disk returned other bytes than were written: check it, and choose another folder for the spool.',
    cause,
  });
}
