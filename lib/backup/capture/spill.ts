import type { EphemeralFile } from '../../encryption/ephemeral-file.ts';

export interface SpillSettings {
  /** Opens a fresh, empty, encrypted file; disposing of it gives its disk space back. */
  readonly open: () => Promise<EphemeralFile>;
  /** On disk at most. */
  readonly bytes: number;
  /** A file is left for a new one after so many bytes, so that what was read back frees its space. Default 64 MiB. */
  readonly fileBytes?: number | undefined;
}

/** Something that was put on disk; to be read once, or dropped. */
export interface Spilled {
  readonly bytes: number;
  read(): Promise<Uint8Array>;
  drop(): Promise<void>;
}

interface File {
  readonly file: EphemeralFile;
  written: number;
  kept: number;
}

const FILE_BYTES = 64 << 20;

/** Disk as an overflow of memory, for pieces that are read back in about the order in which they came. */
export class Spill implements AsyncDisposable {
  /** Bytes of what is kept. */
  bytes = 0;
  private readonly settings: SpillSettings;
  private readonly files = new Set<File>();
  private current: File | undefined;

  constructor(settings: SpillSettings) {
    this.settings = settings;
  }

  /** Undefined when it is over the limit. Rejects as `EphemeralFile` does, e.g. with `spool.full`. */
  async keep(bytes: Uint8Array): Promise<Spilled | undefined> {
    if (this.bytes + bytes.length > this.settings.bytes) return undefined;
    const file = await this.fileToWrite();
    file.kept++;
    file.written += bytes.length;
    let offset: number;
    try {
      offset = await file.file.append(bytes);
    } catch (error) {
      await this.release(file);
      throw error;
    }
    this.bytes += bytes.length;
    const { length } = bytes;
    const drop = async (): Promise<void> => {
      this.bytes -= length;
      await this.release(file);
    };
    return {
      bytes: length,
      drop,
      read: async () => {
        const back = await file.file.read(offset, length);
        await drop();
        return back;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.files].map(({ file }) => file[Symbol.asyncDispose]()));
    this.files.clear();
  }

  private async fileToWrite(): Promise<File> {
    const { open, fileBytes = FILE_BYTES } = this.settings;
    if (this.current !== undefined && this.current.written < fileBytes) return this.current;
    const left = this.current;
    this.current = { file: await open(), written: 0, kept: 0 };
    this.files.add(this.current);
    if (left?.kept === 0) await this.close(left);
    return this.current;
  }

  private async release(file: File): Promise<void> {
    file.kept--;
    if (file.kept > 0) return;
    if (file === this.current) this.current = undefined;
    await this.close(file);
  }

  private async close(file: File): Promise<void> {
    if (this.files.delete(file)) await file.file[Symbol.asyncDispose]();
  }
}
