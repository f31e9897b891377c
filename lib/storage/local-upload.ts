import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import { errnoOf } from './local-errors.ts';
import { makeFolders, syncFolders } from './local-folder.ts';
import { RESERVED_SEGMENT } from './object-name.ts';

const FILE_MODE = 0o600;
const GATHER_BYTES = 1 << 20;
const LARGE_CHUNK_BYTES = 1 << 18;
/** Written bytes are flushed in such pieces while more arrive, so that the last flush is short. */
const FLUSH_BYTES = 1 << 28;
const FOLDER_RACES = 20;

/**
 * A file that becomes visible under its name only once it is whole and flushed, and never in the place of another:
 * bytes go to `<root>/.uploads/<begun>-<uuid>`, which `link` then gives its name. A crash leaves at most that file.
 */
export class LocalUpload {
  readonly #root: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  #size = 0;
  #unflushed = 0;
  #flushing: Promise<void> = Promise.resolve();

  private constructor(root: string, path: string, file: FileHandle) {
    this.#root = root;
    this.#path = path;
    this.#file = file;
  }

  static async begin(root: string, now: Date): Promise<LocalUpload> {
    const folder = await makeFolders(root, RESERVED_SEGMENT);
    const path = join(folder, `${now.getTime()}-${randomUUID()}`);
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    return new LocalUpload(root, path, await open(path, flags, FILE_MODE));
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#gatheredBytes + chunk.length > GATHER_BYTES) await this.#writeGathered();
    if (chunk.length >= LARGE_CHUNK_BYTES && this.#gatheredBytes === 0) {
      await this.#writeOut(chunk);
    } else {
      this.#gathered ??= Buffer.allocUnsafeSlow(GATHER_BYTES);
      this.#gathered.set(chunk, this.#gatheredBytes);
      this.#gatheredBytes += chunk.length;
    }
  }

  /** Flushes the bytes and gives them their name; rejects with EEXIST, leaving the taken name as it is. */
  async publish(name: string): Promise<void> {
    await this.#writeGathered();
    await this.#flushing;
    await this.#file.sync();
    const target = join(this.#root, name);
    await this.#link(target, dirname(name));
    try {
      await syncFolders(dirname(target), this.#root);
    } catch (error) {
      await unlink(target).catch(() => undefined);
      throw error;
    }
  }

  /** What was written, as `stat` will show it. */
  async describe(): Promise<{ size: number; modifiedNs: bigint; inode: bigint }> {
    const { size, mtimeNs, ino } = await this.#file.stat({ bigint: true });
    return { size: Number(size), modifiedNs: mtimeNs, inode: ino };
  }

  /** Closes the file and removes its temporary name. Never rejects: what stays is swept later. */
  async end(): Promise<void> {
    await this.#flushing.catch(() => undefined);
    await this.#file.close().catch(() => undefined);
    await unlink(this.#path).catch(() => undefined);
  }

  async #writeGathered(): Promise<void> {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return;
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gatheredBytes = 0;
    await this.#writeOut(bytes);
  }

  async #writeOut(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size);
      done += bytesWritten;
      this.#size += bytesWritten;
    }
    this.#unflushed += bytes.length;
    if (this.#unflushed < FLUSH_BYTES) return;
    this.#unflushed = 0;
    await this.#flushing;
    this.#flushing = this.#file.datasync();
    this.#flushing.catch(() => undefined);
  }

  async #link(target: string, folder: string): Promise<void> {
    for (let race = 1; ; race += 1) {
      try {
        await makeFolders(this.#root, folder);
        await link(this.#path, target);
        return;
      } catch (error) {
        const errno = errnoOf(error);
        const { nlink } = await this.#file.stat();
        // NFS: the link was made, its reply was lost, and the client asked again.
        if (errno === 'EEXIST' && nlink === 2) return;
        if (errno === 'ENOENT' && nlink === 0) throw swept();
        // A racing delete removed the folder as empty between our making it and linking into it.
        if (errno === 'ENOENT' && race < FOLDER_RACES) continue;
        if (errno === 'EPERM') throw withoutHardLinks(error, this.#root);
        throw error;
      }
    }
  }
}

/** Removes the remains of uploads begun before `olderThan`, and resolves to how many there were. */
export async function sweepLocalUploads(
  root: string,
  olderThan: Date,
  signal?: AbortSignal,
): Promise<number> {
  const folder = join(root, RESERVED_SEGMENT);
  let swept = 0;
  for (const file of await readdir(folder)) {
    signal?.throwIfAborted();
    const begun = /^(\d+)-/.exec(file)?.[1];
    if (begun === undefined || Number(begun) >= olderThan.getTime()) continue;
    try {
      await unlink(join(folder, file));
      swept += 1;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
  return swept;
}

function swept(): GuardianError {
  return new GuardianError('store.upload-lost', 'the unfinished upload was removed while it ran', {
    hint: 'Something swept .uploads while this ran; sweep only what is older than the longest upload.',
  });
}

function withoutHardLinks(cause: unknown, root: string): GuardianError {
  return new GuardianError('store.unsupported', `the file system of ${root} can't make hard links`, {
    cause,
    hint: 'Use a file system with hard links, such as ext4, XFS or NFS: they keep two writers apart.',
  });
}
