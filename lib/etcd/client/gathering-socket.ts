import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';

export interface GatheringOptions {
  readonly host: string;
  readonly port: number;
  /** How long the kernel gathers what comes in before it is read again. */
  readonly gatherMs: number;
}

/**
 * A TCP connection that is read in steps: what trickles in waits in the kernel and is taken in together, `gatherMs` after
 * it came at the latest, since each read wakes the event loop, which costs more than a small message. What comes after a
 * silence, and what comes fast, is read at once. Writes don't wait.
 */
export class GatheringSocket extends Duplex {
  private readonly socket: Socket;
  private readonly gatherMs: number;
  private gathering: NodeJS.Timeout | undefined;
  /** Since when much comes fast, and how much of it; looked at anew every `LOOK_MS`. */
  private fastSinceMs: number | undefined;
  private fastBytes = 0;
  /** False while our reader has enough. */
  private wanted = true;

  /** `connect` is emitted when the connection stands. */
  constructor({ host, port, gatherMs }: GatheringOptions) {
    super({ allowHalfOpen: false });
    this.gatherMs = gatherMs;
    const callback = (length: number, buffer: Uint8Array): boolean => this.received(length, buffer);
    const onread = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback };
    this.socket = connect({ host, port, noDelay: true, onread });
    this.socket.once('connect', () => this.emit('connect'));
    this.socket.once('end', () => this.push(null));
    this.socket.on('error', (error) => this.destroy(error));
    this.socket.once('close', () => {
      // What came before an end may still be unread.
      if (!this.socket.readableEnded) this.destroy();
    });
    this.socket.resume();
  }

  override _read(): void {
    this.wanted = true;
    if (this.gathering === undefined) this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Done): void {
    this.socket.write(chunk, callback);
  }

  override _final(callback: Done): void {
    this.socket.end(() => {
      callback();
    });
  }

  override _destroy(error: Error | null, callback: Done): void {
    clearTimeout(this.gathering);
    this.socket.destroy();
    callback(error);
  }

  /** True: read on. */
  private received(length: number, buffer: Uint8Array): boolean {
    this.wanted = this.push(Buffer.from(buffer.subarray(0, length)));
    if (this.isFast(length)) return this.wanted;
    this.gathering = setTimeout(() => {
      this.gathering = undefined;
      if (this.wanted) this.socket.resume();
    }, this.gatherMs);
    return false;
  }

  /**
   * What fills the buffer isn't paused for: more may not fit into the kernel's, which begins with 64 KiB and grows only
   * for those who read it out, so that pauses would set the pace.
   */
  private isFast(length: number): boolean {
    const isFull = length === READ_BYTES;
    if (!isFull && this.fastSinceMs === undefined) return false;
    const now = performance.now();
    this.fastSinceMs ??= now;
    this.fastBytes += length;
    const elapsedMs = now - this.fastSinceMs;
    if (elapsedMs < LOOK_MS) return true;
    const stays = isFull || this.fastBytes >= (READ_BYTES / this.gatherMs) * elapsedMs;
    this.fastSinceMs = stays ? now : undefined;
    this.fastBytes = 0;
    return stays;
  }
}

type Done = (error?: Error | null) => void;

/** What a thousand changes of 1.7 KB a second bring in more than 20 ms; less than the kernel holds. */
const READ_BYTES = 49_152;
const LOOK_MS = 100;
