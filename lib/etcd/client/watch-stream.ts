import { status as grpcStatus } from '@grpc/grpc-js';
import { GuardianError } from '../../guardian-error.ts';
import { EtcdCompactedError } from './compacted-error.ts';
import { decodeReply } from './endpoint-connection.ts';
import { type WatchEvent, type WatchResponse, type WatchStream } from './etcd-client.ts';
import { type WatchReply } from './key-value-replies.ts';
import { type MessageReader } from './message-reader.ts';
import { rpcError } from './rpc-error.ts';
import { WATCH, type WatchCall } from './rpcs.ts';

/** A watch that etcd has been asked for. */
export interface LiveWatchCall {
  readonly endpoint: string;
  readonly reader: MessageReader;
  write(call: WatchCall): void;
}

/** See `WatchStream`. `start` is called by the first read. */
export class LiveWatch implements WatchStream {
  private readonly start: () => Promise<LiveWatchCall>;
  private readonly reassemble: boolean;
  private readonly signal: AbortSignal;
  private started = false;
  private call: LiveWatchCall | undefined;

  constructor(start: () => Promise<LiveWatchCall>, reassemble: boolean, signal: AbortSignal) {
    this.start = start;
    this.reassemble = reassemble;
    this.signal = signal;
  }

  requestProgress(): void {
    this.call?.write({ progress_request: {} });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchResponse, void> {
    if (this.started) throw new Error('this watch was read already: it streams once');
    this.started = true;
    const call = await this.start();
    this.call = call;
    const cancel = (): void => {
      call.reader.cancel();
    };
    this.signal.addEventListener('abort', cancel);
    try {
      yield* this.responses(call);
    } finally {
      this.call = undefined;
      this.signal.removeEventListener('abort', cancel);
      cancel();
    }
  }

  private async *responses({ endpoint, reader }: LiveWatchCall): AsyncGenerator<WatchResponse, void> {
    let pieces: WatchEvent[] = [];
    for (;;) {
      const message = reader.take() ?? (await reader.next());
      this.signal.throwIfAborted();
      if (!Buffer.isBuffer(message)) {
        const ended = message.kind === 'failed' ? message.error : ENDED;
        throw rpcError(endpoint, WATCH.name, ended, ended);
      }
      const reply = decodeReply(endpoint, WATCH, message);
      if (reply.canceled) throw canceled(endpoint, reply);
      const { header, fragment } = reply;
      if (this.reassemble && (fragment || pieces.length > 0)) {
        pieces = pieces.concat(reply.events);
        if (fragment) continue;
      }
      const events = pieces.length > 0 ? pieces : reply.events;
      pieces = [];
      const kind = reply.created ? 'created' : events.length > 0 ? 'events' : 'progress';
      yield { endpoint, header, kind, events, fragment: fragment && !this.reassemble };
    }
  }
}

/** etcd never ends a watch's stream on its own account. */
const ENDED = { code: grpcStatus.UNAVAILABLE, details: 'the stream ended' };

function canceled(endpoint: string, reply: WatchReply): GuardianError {
  if (reply.compactRevision > 0n) return new EtcdCompactedError(endpoint, reply.compactRevision);
  if (reply.cancelReason === '') {
    return new GuardianError('etcd.unavailable', `${endpoint} canceled the watch without a reason`, {
      hint: 'the member may be going down: watch again',
      retryable: true,
    });
  }
  return rpcError(endpoint, WATCH.name, {
    code: grpcStatus.FAILED_PRECONDITION,
    details: reply.cancelReason,
  });
}
