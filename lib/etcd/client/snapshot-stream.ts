import { GuardianError } from '../../guardian-error.ts';
import { decodeReply } from './endpoint-connection.ts';
import { type MemberStatus, type SnapshotStream } from './etcd-client.ts';
import { type MessageReader, type NoMessage } from './message-reader.ts';
import { rpcError } from './rpc-error.ts';
import { SNAPSHOT } from './rpcs.ts';

/** A snapshot that etcd has been asked for, over a connection of its own. */
export interface SnapshotCall {
  readonly member: MemberStatus;
  readonly reader: MessageReader;
  close(): void;
}

export interface SnapshotLimits {
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal;
}

const DIGEST_BYTES = 32;

/** See `SnapshotStream`. `start` is called by the first read. */
export class LiveSnapshot implements SnapshotStream {
  readonly endpoint: string;
  member: MemberStatus | undefined;
  totalBytes: number | undefined;
  receivedBytes = 0;
  storageVersion: string | undefined;

  private readonly start: () => Promise<SnapshotCall>;
  private readonly limits: SnapshotLimits;
  private started = false;

  constructor(endpoint: string, start: () => Promise<SnapshotCall>, limits: SnapshotLimits) {
    this.endpoint = endpoint;
    this.start = start;
    this.limits = limits;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.started) throw new Error(`the snapshot of ${this.endpoint} was read already: it streams once`);
    this.started = true;
    const { signal } = this.limits;
    const call = await this.start();
    const cancel = (): void => {
      call.reader.cancel();
    };
    signal.addEventListener('abort', cancel);
    try {
      this.member = call.member;
      yield* this.blobs(call.reader);
    } finally {
      signal.removeEventListener('abort', cancel);
      cancel();
      call.close();
    }
  }

  /** The database, then its digest; ends only after both. */
  private async *blobs(reader: MessageReader): AsyncGenerator<Uint8Array, void> {
    const { signal, idleTimeoutMs } = this.limits;
    let digestSeen = false;
    for (;;) {
      const message = reader.take() ?? (await reader.next(idleTimeoutMs));
      signal.throwIfAborted();
      if (!Buffer.isBuffer(message)) {
        if (message.kind === 'ended' && digestSeen) return;
        throw this.broken(message);
      }
      const { blob, remainingBytes, storageVersion } = decodeReply(this.endpoint, SNAPSHOT, message);
      if (this.totalBytes === undefined) {
        this.totalBytes = blob.length + remainingBytes;
        this.storageVersion = storageVersion === '' ? undefined : storageVersion;
      }
      if (this.receivedBytes < this.totalBytes) {
        this.receivedBytes += blob.length;
        if (this.receivedBytes + remainingBytes !== this.totalBytes) throw this.disordered(remainingBytes);
      } else {
        if (digestSeen || blob.length !== DIGEST_BYTES) throw this.disordered(remainingBytes);
        digestSeen = true;
      }
      yield blob;
    }
  }

  private broken(end: NoMessage): GuardianError {
    const { endpoint, totalBytes } = this;
    const progress = `${this.receivedBytes} of ${totalBytes ?? 'unknown'} bytes`;
    if (end.kind === 'idle') {
      const message = `the snapshot of ${endpoint} fell silent: no byte for ${this.limits.idleTimeoutMs} ms after ${progress}`;
      return new GuardianError('etcd.snapshot-idle', message, {
        hint: 'the network is cut, or the member hangs (its disk?): start again, best with another member',
        retryable: true,
      });
    }
    const cause = end.kind === 'failed' ? rpcError(endpoint, SNAPSHOT.name, end.error, end.error) : undefined;
    // What etcd refuses, it refuses before the first byte.
    if (cause !== undefined && totalBytes === undefined) return cause;
    const reason = cause?.message ?? 'etcd ended the stream early';
    return new GuardianError('etcd.snapshot-cut', `${endpoint}: snapshot cut after ${progress}: ${reason}`, {
      hint: 'what came so far is of no use: start again, best with another member',
      retryable: true,
      cause,
    });
  }

  private disordered(remainingBytes: number): GuardianError {
    const message = `the snapshot of ${this.endpoint} doesn't add up: ${remainingBytes} bytes to come after ${this.receivedBytes} of ${this.totalBytes ?? 0}`;
    return new GuardianError('etcd.protocol', message, {
      hint: 'no etcd sends this: is there a proxy between?',
    });
  }
}
