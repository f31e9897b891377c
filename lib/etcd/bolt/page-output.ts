import { Buffer } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';

/** Where a run of pages is to be written. */
export interface PageRun {
  readonly id: number;
  /** Pages behind the first. */
  readonly overflow: number;
  /** The run's bytes, stale ones in them: all of them are the caller's to write. */
  readonly bytes: Buffer;
}

const CHUNK_SIZE = 2 ** 20;
/** Chunks that may wait for the disk. */
const BACKLOG = 4;
/** So many bytes written start a sync beside the further writes, so that the last one has little left to do. */
const SYNC_EVERY = 64 * 2 ** 20;

/**
 * Appends pages to a file, one run after the other, and writes them behind the caller's back: `reserve` never waits;
 * `drain` does, and is to be called after a megabyte or so.
 */
export class PageOutput {
  readonly pageSize: number;
  /** The page that the next run will start with. */
  nextPage: number;

  private readonly file: FileHandle;
  private chunk: Buffer = Buffer.alloc(0);
  private chunkFilled = 0;
  private chunkPage: number;
  private readonly spare: Buffer[] = [];
  private readonly queue: Promise<void>[] = [];
  private writing: Promise<void> = Promise.resolve();
  private syncing: Promise<void> | undefined;
  private unsynced = 0;
  private failure: { readonly error: unknown } | undefined;

  constructor(file: FileHandle, pageSize: number, firstPage: number) {
    this.file = file;
    this.pageSize = pageSize;
    this.nextPage = firstPage;
    this.chunkPage = firstPage;
  }

  /** The next `pages` pages. Their bytes are taken at the next call of `reserve`, `drain` or `finish`. */
  reserve(pages: number): PageRun {
    const size = pages * this.pageSize;
    if (this.chunkFilled + size > this.chunk.length) this.startChunk(size);
    const bytes = this.chunk.subarray(this.chunkFilled, this.chunkFilled + size);
    this.chunkFilled += size;
    const id = this.nextPage;
    this.nextPage += pages;
    return { id, overflow: pages - 1, bytes };
  }

  /** Waits until little is unwritten. Rejects with the disk's own error. */
  async drain(): Promise<void> {
    while (this.queue.length > BACKLOG) await this.queue.shift();
    this.throwFailure();
  }

  /** Waits until every page is written (not synced). Rejects with the disk's own error. */
  async finish(): Promise<void> {
    this.writeChunk();
    await this.settle();
    this.throwFailure();
  }

  /** Waits for what is under way, whatever its outcome: the file may be closed after that. */
  async settle(): Promise<void> {
    await this.writing;
    await this.syncing;
  }

  private startChunk(size: number): void {
    this.writeChunk();
    if (size > CHUNK_SIZE) this.chunk = Buffer.allocUnsafeSlow(size);
    else this.chunk = this.spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_SIZE);
    this.chunkFilled = 0;
    this.chunkPage = this.nextPage;
  }

  private writeChunk(): void {
    if (this.chunkFilled === 0) return;
    const { chunk, chunkFilled, chunkPage } = this;
    this.chunk = Buffer.alloc(0);
    this.chunkFilled = 0;
    this.writing = this.writing.then(() => this.write(chunk, chunkFilled, chunkPage * this.pageSize));
    this.queue.push(this.writing);
  }

  /** Never rejects: nobody may be waiting yet. */
  private async write(chunk: Buffer, size: number, position: number): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      await writeFully(this.file, chunk.subarray(0, size), position);
      if (chunk.length === CHUNK_SIZE) this.spare.push(chunk);
      this.unsynced += size;
      if (this.unsynced >= SYNC_EVERY && this.syncing === undefined) {
        this.unsynced = 0;
        this.syncing = this.sync();
      }
    } catch (error) {
      this.failure = { error };
    }
  }

  private async sync(): Promise<void> {
    try {
      await this.file.datasync();
    } catch (error) {
      this.failure = { error };
    }
    this.syncing = undefined;
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }
}

/** One write(2) may take less than it was given. */
export async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
