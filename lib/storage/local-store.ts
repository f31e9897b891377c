import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Clock, systemClock } from '../clock.ts';
import { GuardianError } from '../guardian-error.ts';
import { checkRange } from './byte-range.ts';
import { errnoOf, localError } from './local-errors.ts';
import { type FoundFile, makeRoot, pruneEmptyFolders, refuseLinks, walkFiles } from './local-folder.ts';
import { LocalUpload, sweepLocalUploads } from './local-upload.ts';
import { checkListPrefix, checkObjectName } from './object-name.ts';
import type {
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from './object-store.ts';
import { untilAborted } from './until-aborted.ts';

const READ_BYTES = 1 << 18;

/**
 * A store in a folder: files 0600, folders 0700, symbolic links never followed below the root. Survives a crash at any
 * point: an object is either whole under its name or a file in `.uploads`. The folder is made by the first write;
 * until then the store is empty. `retainUntil` is ignored: a file system keeps no such promise.
 */
export class LocalStore implements ObjectStore {
  readonly location: string;
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(folder: string, options: { readonly clock?: Clock } = {}) {
    this.#folder = resolve(folder);
    this.#clock = options.clock ?? systemClock;
    this.location = pathToFileURL(this.#folder).href;
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    checkObjectName(name);
    options.signal?.throwIfAborted();
    const writing = `writing ${this.#what(name)}`;
    const upload = await as(writing, async () =>
      LocalUpload.begin(await makeRoot(this.#folder), this.#clock()),
    );
    try {
      for await (const chunk of untilAborted(body, options.signal)) {
        await as(writing, () => upload.write(chunk));
      }
      return await as(writing, async () => {
        await upload.publish(name);
        return toStoredObject({ name, ...(await upload.describe()) });
      });
    } finally {
      await upload.end();
    }
  }

  async putIfAbsent(name: string, body: Uint8Array, options: PutOptions = {}): Promise<StoredObject> {
    return this.put(name, once(body), options);
  }

  async *get(name: string, options: GetOptions = {}): AsyncGenerator<Uint8Array, void> {
    checkObjectName(name);
    options.signal?.throwIfAborted();
    const file = await this.#reading(name, () => this.#openForReading(name));
    try {
      const object = await this.#reading(name, () => describeFile(name, file));
      if (options.version !== undefined && options.version !== object.version) throw this.#changed(name);
      const { from, to } = checkRange(options.range, object, this.location);
      options.onOpen?.(object);
      for (let at = from; at < to;) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, to - at));
        const { bytesRead } = await this.#reading(name, () => file.read(buffer, 0, buffer.length, at));
        options.signal?.throwIfAborted();
        if (bytesRead === 0) throw this.#cutShort(object, at);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async stat(name: string, options: StoreCallOptions = {}): Promise<StoredObject> {
    checkObjectName(name);
    options.signal?.throwIfAborted();
    return this.#reading(name, async () => {
      const file = await this.#openForReading(name);
      try {
        return await describeFile(name, file);
      } finally {
        await file.close();
      }
    });
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<StoredObject, void> {
    checkListPrefix(prefix);
    const what = `listing ${prefix === '' ? 'everything' : prefix} in ${this.location}`;
    options.signal?.throwIfAborted();
    const root = await this.#root(what);
    if (root === undefined) return;
    const files = walkFiles(root, prefix, options.after ?? '');
    try {
      for (;;) {
        const next = await files.next();
        options.signal?.throwIfAborted();
        if (next.done === true) return;
        yield toStoredObject(next.value);
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      throw localError(error, what);
    } finally {
      await files.return();
    }
  }

  async delete(name: string, options: StoreCallOptions = {}): Promise<void> {
    checkObjectName(name);
    options.signal?.throwIfAborted();
    const what = this.#what(name);
    const root = await this.#root(what);
    if (root === undefined) return;
    const path = join(root, name);
    try {
      await refuseLinks(root, dirname(path));
      if ((await lstat(path)).isDirectory()) return;
      await unlink(path);
    } catch (error) {
      if (isAbsent(error)) return;
      throw localError(error, what);
    }
    await pruneEmptyFolders(dirname(path), root);
  }

  async sweepStaleUploads(olderThan: Date, options: StoreCallOptions = {}): Promise<number> {
    const what = `sweeping unfinished uploads in ${this.location}`;
    options.signal?.throwIfAborted();
    const root = await this.#root(what);
    if (root === undefined) return 0;
    try {
      return await sweepLocalUploads(root, olderThan, options.signal);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isAbsent(error)) return 0;
      throw localError(error, what);
    }
  }

  /** The folder without symbolic links; `undefined` while nothing has been written yet. */
  async #root(what: string): Promise<string | undefined> {
    try {
      return await realpath(this.#folder);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw localError(error, what);
    }
  }

  async #openForReading(name: string): Promise<FileHandle> {
    const root = await realpath(this.#folder);
    const path = join(root, name);
    await refuseLinks(root, dirname(path));
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw this.#notFound(name);
  }

  async #reading<T>(name: string, operation: () => Promise<T>): Promise<T> {
    return as(`reading ${this.#what(name)}`, operation).catch((error: unknown) => {
      if (error instanceof GuardianError && isAbsent(error.cause)) throw this.#notFound(name, error.cause);
      throw error;
    });
  }

  #what(name: string): string {
    return `object ${name} in ${this.location}`;
  }

  #notFound(name: string, cause?: unknown): GuardianError {
    return new GuardianError('store.not-found', `${this.#what(name)} doesn't exist`, { cause });
  }

  #changed(name: string): GuardianError {
    return new GuardianError('store.changed', `${this.#what(name)} was replaced since it was first seen`);
  }

  #cutShort(object: StoredObject, at: number): GuardianError {
    const message = `${this.#what(object.name)} ended at byte ${at} of ${object.size} while it was read`;
    return new GuardianError('store.corrupt', message, { hint: 'Something outside truncated the file.' });
  }
}

async function as<T>(what: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw localError(error, what);
  }
}

async function describeFile(name: string, file: FileHandle): Promise<StoredObject> {
  const { size, mtimeNs, ino } = await file.stat({ bigint: true });
  return toStoredObject({ name, size: Number(size), modifiedNs: mtimeNs, inode: ino });
}

function toStoredObject(file: FoundFile): StoredObject {
  return {
    name: file.name,
    size: file.size,
    modifiedAt: new Date(Number(file.modifiedNs / 1_000_000n)),
    version: `${file.inode}-${file.modifiedNs}-${file.size}`,
  };
}

function isAbsent(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  await Promise.resolve();
  yield bytes;
}
