import { Worker } from 'node:worker_threads';
import { reasonOf } from '../../guardian-error.ts';
import type { CallEnd, SessionLimits } from './grpc-call.ts';
import type { SocketRoute } from './route.ts';

/** What the thread gets. */
export interface ReceiverOptions extends SessionLimits {
  readonly route: SocketRoute;
  readonly token: string | undefined;
  /** Of the calls that tell who sends, and that sends. */
  readonly paths: { readonly status: string; readonly snapshot: string };
  /** How long etcd may send nothing while there is room for bytes. */
  readonly idleTimeoutMs: number;
}

export interface ReceiverData {
  readonly memory: SharedArrayBuffer;
  readonly slots: number;
  readonly slotSize: number;
  readonly options: ReceiverOptions;
}

/** How far the stream is: see `SnapshotStream`. */
export interface ReceiverProgress {
  readonly totalBytes: number | undefined;
  readonly receivedBytes: number;
  readonly storageVersion: string | undefined;
}

/** What the thread tells; nothing comes after one of the last four. */
export type FromReceiver =
  /** A StatusResponse of who sends. */
  | { readonly kind: 'status'; readonly reply: Uint8Array }
  | ({ readonly kind: 'filled'; readonly slot: number; readonly length: number } & ReceiverProgress)
  | { readonly kind: 'complete' }
  | { readonly kind: 'ended'; readonly end: CallEnd }
  | { readonly kind: 'idle' }
  | { readonly kind: 'senseless'; readonly reason: string };

/** A slot may be filled again. */
export interface ToReceiver {
  readonly free: number;
}

/** The thread was ended by us, or died. */
export interface ReceiverDied {
  readonly kind: 'died';
  readonly reason: string;
}

/** Three wait or are read while one is filled. */
const SLOTS = 4;
const SLOT_BYTES = 1 << 20;

/**
 * A thread that asks a member for a snapshot and receives it into shared memory. What HTTP/2 allocates for each piece
 * makes V8 mark the whole heap again every 64 MiB: here that heap is small, and nobody else waits meanwhile.
 */
export class SnapshotReceiver implements AsyncDisposable {
  private readonly memory = new SharedArrayBuffer(SLOTS * SLOT_BYTES);
  private readonly worker: Worker;
  private readonly told: (FromReceiver | ReceiverDied)[] = [];
  private wake: (() => void) | undefined;

  constructor(options: ReceiverOptions) {
    const workerData: ReceiverData = { memory: this.memory, slots: SLOTS, slotSize: SLOT_BYTES, options };
    this.worker = new Worker(new URL('./snapshot-worker.ts', import.meta.url), { workerData });
    this.worker.on('message', (message: FromReceiver) => {
      this.tell(message);
    });
    this.worker.on('error', (error) => {
      this.tell({ kind: 'died', reason: reasonOf(error) });
    });
    this.worker.on('exit', (code) => {
      this.tell({ kind: 'died', reason: `it exited with code ${code}` });
    });
  }

  /** The next thing it tells; for one caller at a time. */
  async next(): Promise<FromReceiver | ReceiverDied> {
    for (;;) {
      const next = this.told.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  bytes(slot: number, length: number): Buffer {
    return Buffer.from(this.memory, slot * SLOT_BYTES, length);
  }

  /** The slot's bytes are needed no more. */
  free(slot: number): void {
    const message: ToReceiver = { free: slot };
    this.worker.postMessage(message);
  }

  /** Ends the thread and its connection, so that the member ends the stream too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.terminate();
  }

  private tell(message: FromReceiver | ReceiverDied): void {
    this.told.push(message);
    this.wake?.();
  }
}
