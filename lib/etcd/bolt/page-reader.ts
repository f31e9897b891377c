import { Buffer } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { GuardianError } from '../../guardian-error.ts';
import { diskError } from '../durable-file.ts';
import { BRANCH_PAGE, branchFault, FIRST_DATA_PAGE, LEAF_PAGE, leafFault, readPageHeader } from './page.ts';

/** Where a page's bytes were found: `bytes[start, end)` is all of its run, checked. */
export interface LoadedPage {
  readonly id: number;
  readonly isLeaf: boolean;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A leaf has as much as four values whatever their size; no etcd is set to take values of 64 MiB. */
const MAX_RUN_SIZE = 256 * 2 ** 20;
const CACHE_SIZE = 8 * 2 ** 20;

/**
 * Reads pages of one file wherever they are, with every number in them checked before it is used. Rejects with
 * `bolt.corrupt`, naming file, page and offset, or an error of the disk.
 */
export class PageReader {
  readonly path: string;
  readonly pageSize: number;
  readonly pageCount: number;

  private readonly file: FileHandle;
  /** Recently used pages, the latest last. */
  private readonly cache = new Map<number, LoadedPage>();
  private cachedBytes = 0;

  constructor(path: string, file: FileHandle, pageSize: number, pageCount: number) {
    this.path = path;
    this.file = file;
    this.pageSize = pageSize;
    this.pageCount = pageCount;
  }

  /** The branch or leaf that is page `id`. */
  async page(id: number): Promise<LoadedPage> {
    const cached = this.cache.get(id);
    if (cached !== undefined) {
      this.cache.delete(id);
      this.cache.set(id, cached);
      return cached;
    }
    const page = await this.load(id);
    this.remember(page);
    return page;
  }

  /**
   * The page `id`, whose first bytes are already at `start` of `bytes`; undefined when its overflow goes beyond them.
   */
  pageIn(bytes: Buffer, start: number, id: number): LoadedPage | undefined {
    const end = start + this.runSize(bytes, start, id);
    return end > bytes.length ? undefined : this.check(bytes, start, end, id);
  }

  /** Fills `bytes` from page `id` on. */
  async read(bytes: Buffer, id: number): Promise<void> {
    const position = id * this.pageSize;
    let done = 0;
    try {
      while (done < bytes.length) {
        const { bytesRead } = await this.file.read(bytes, done, bytes.length - done, position + done);
        if (bytesRead === 0) throw this.corrupt(id, `the file ends at byte ${position + done}`);
        done += bytesRead;
      }
    } catch (error) {
      throw diskError(error, `reading ${this.path}`);
    }
  }

  corrupt(id: number, what: string): GuardianError {
    return new GuardianError(
      'bolt.corrupt',
      `${this.path}: page ${id} (byte ${id * this.pageSize}): ${what}`,
      {
        hint: 'Use another snapshot, or another member of the same cluster. A file that etcd has open can change while it is read.',
      },
    );
  }

  async load(id: number): Promise<LoadedPage> {
    this.checkId(id);
    const first = Buffer.allocUnsafe(this.pageSize);
    await this.read(first, id);
    const size = this.runSize(first, 0, id);
    if (size === first.length) return this.check(first, 0, size, id);
    const bytes = Buffer.allocUnsafeSlow(size);
    first.copy(bytes);
    await this.read(bytes.subarray(first.length), id + 1);
    return this.check(bytes, 0, size, id);
  }

  checkId(id: number): void {
    if (id < FIRST_DATA_PAGE || id >= this.pageCount) {
      throw this.corrupt(id, `not one of the file's ${this.pageCount} pages`);
    }
  }

  /** Bytes of the run whose header is at `start`. */
  private runSize(bytes: Buffer, start: number, id: number): number {
    const { id: own, overflow } = readPageHeader(bytes, start);
    if (own !== id) throw this.corrupt(id, `says that it is page ${own}`);
    if (id + overflow >= this.pageCount)
      throw this.corrupt(id, `overflows by ${overflow} pages, beyond the end`);
    const size = (overflow + 1) * this.pageSize;
    if (size > MAX_RUN_SIZE)
      throw this.corrupt(id, `overflows by ${overflow} pages, more than any etcd writes`);
    return size;
  }

  private check(bytes: Buffer, start: number, end: number, id: number): LoadedPage {
    const { flags } = readPageHeader(bytes, start);
    if (flags !== LEAF_PAGE && flags !== BRANCH_PAGE) {
      throw this.corrupt(id, `neither a branch nor a leaf (flags 0x${flags.toString(16)})`);
    }
    const isLeaf = flags === LEAF_PAGE;
    const fault = isLeaf ? leafFault(bytes, start, end) : branchFault(bytes, start, end);
    if (fault !== undefined) throw this.corrupt(id, fault);
    return { id, isLeaf, bytes, start, end };
  }

  private remember(page: LoadedPage): void {
    const size = page.end - page.start;
    if (size > CACHE_SIZE / 8) return;
    this.cache.set(page.id, page);
    this.cachedBytes += size;
    for (const [id, old] of this.cache) {
      if (this.cachedBytes <= CACHE_SIZE) break;
      this.cache.delete(id);
      this.cachedBytes -= old.end - old.start;
    }
  }
}
