import { GuardianError } from '../../guardian-error.ts';
import { decodeReply } from './endpoint-connection.ts';
import type { MemberStatus, SnapshotStream } from './etcd-client.ts';
import { rpcError } from './rpc-error.ts';
import { SNAPSHOT, STATUS } from './rpcs.ts';
import type { FromReceiver, ReceiverDied, SnapshotReceiver } from './snapshot-receiver.ts';
import { memberStatus } from './member-status.ts';

/** See `SnapshotStream`. `start` is called by the first read. */
export class LiveSnapshot implements SnapshotStream {
  readonly endpoint: string;
  member: MemberStatus | undefined;
  totalBytes: number | undefined;
  receivedBytes = 0;
  storageVersion: string | undefined;

  private readonly start: () => Promise<SnapshotReceiver>;
  private readonly signal: AbortSignal;
  private readonly idleTimeoutMs: number;
  private started = false;

  constructor(
    endpoint: string,
    start: () => Promise<SnapshotReceiver>,
    { signal, idleTimeoutMs }: { readonly signal: AbortSignal; readonly idleTimeoutMs: number },
  ) {
    this.endpoint = endpoint;
    this.start = start;
    this.signal = signal;
    this.idleTimeoutMs = idleTimeoutMs;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.started) throw new Error(`the snapshot of ${this.endpoint} was read already: it streams once`);
    this.started = true;
    const { signal } = this;
    await using receiver = await this.start();
    const stop = (): void => void receiver[Symbol.asyncDispose]();
    signal.addEventListener('abort', stop);
    try {
      yield* this.pieces(receiver);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  private async *pieces(receiver: SnapshotReceiver): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      this.signal.throwIfAborted();
      const told = await receiver.next();
      this.signal.throwIfAborted();
      switch (told.kind) {
        case 'status':
          this.member = memberStatus(
            this.endpoint,
            decodeReply(this.endpoint, STATUS, Buffer.from(told.reply)),
          );
          break;
        case 'filled':
          this.totalBytes = told.totalBytes;
          this.receivedBytes = told.receivedBytes;
          this.storageVersion = told.storageVersion;
          yield receiver.bytes(told.slot, told.length);
          receiver.free(told.slot);
          break;
        case 'complete':
          return;
        default:
          throw this.broken(told);
      }
    }
  }

  private broken(end: Broken): GuardianError {
    const { endpoint, totalBytes } = this;
    const progress = `${this.receivedBytes} of ${totalBytes ?? 'unknown'} bytes`;
    if (end.kind === 'idle') {
      const message = `the snapshot of ${endpoint} fell silent: no byte for ${this.idleTimeoutMs} ms after ${progress}`;
      return new GuardianError('etcd.snapshot-idle', message, {
        hint: 'the network is cut, or the member hangs (its disk?): start again, best with another member',
        retryable: true,
      });
    }
    if (end.kind === 'senseless') {
      const message = `the snapshot of ${endpoint} doesn't add up: ${end.reason}`;
      return new GuardianError('etcd.protocol', message, {
        hint: 'no etcd sends this: is there a proxy between?',
      });
    }
    if (end.kind === 'died') {
      return new GuardianError('thread.died', `the thread that receives a snapshot died: ${end.reason}`, {
        hint: 'Try again; if it was out of memory, give the process more.',
        retryable: true,
      });
    }
    const { code } = end.end;
    const cause = code === 0 ? undefined : rpcError(endpoint, SNAPSHOT.name, end.end);
    // What etcd refuses, it refuses before the first byte.
    if (cause !== undefined && totalBytes === undefined) return cause;
    const reason = cause?.message ?? 'etcd ended the stream early';
    return new GuardianError('etcd.snapshot-cut', `${endpoint}: snapshot cut after ${progress}: ${reason}`, {
      hint: 'what came so far is of no use: start again, best with another member',
      retryable: true,
      cause,
    });
  }
}

type Broken = Exclude<FromReceiver | ReceiverDied, { readonly kind: 'status' | 'filled' | 'complete' }>;
