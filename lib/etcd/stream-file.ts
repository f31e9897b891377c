import { Buffer } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import { writeFully } from './bolt/page-output.ts';

/** So many bytes written start a sync beside the further writes, so that a last one has little left to do. */
const SYNC_EVERY = 64 * 2 ** 20;

/** A file written from front to back, while the disk still takes the piece before. */
export interface StreamFile extends AsyncDisposable {
  /** Resolves when the piece before is written; `bytes` belong to the file until the next call. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything is written (not synced). */
  finish(): Promise<void>;
}

/** Opens a file, mode 0600, in the place of what was there. Rejects, as its methods do, with the disk's own errors. */
export async function openStreamFile(path: string): Promise<StreamFile> {
  return new OpenStreamFile(await open(path, 'w', 0o600));
}

class OpenStreamFile implements StreamFile {
  private readonly file: FileHandle;
  private size = 0;
  private unsynced = 0;
  private writing: Promise<void> = Promise.resolve();
  private syncing: Promise<void> | undefined;
  private failure: { readonly error: unknown } | undefined;

  constructor(file: FileHandle) {
    this.file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.finish();
    const at = this.size;
    this.size += bytes.length;
    this.writing = this.noted(
      writeFully(this.file, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), at),
    );
    this.unsynced += bytes.length;
    if (this.unsynced < SYNC_EVERY || this.syncing !== undefined) return;
    this.unsynced = 0;
    this.syncing = this.noted(this.file.datasync()).then(() => {
      this.syncing = undefined;
    });
  }

  async finish(): Promise<void> {
    await this.writing;
    if (this.failure !== undefined) throw this.failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writing;
    await this.syncing;
    await this.file.close();
  }

  /** Never rejects: nobody may be waiting yet. */
  private async noted(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.failure ??= { error };
    }
  }
}
