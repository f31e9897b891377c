import { status as grpcStatus } from '@grpc/grpc-js';
import { GuardianError } from '../../guardian-error.ts';
import { EtcdCompactedError } from './compacted-error.ts';
import { decodeReply } from './endpoint-connection.ts';
import type {
  PackedWatchResponse,
  PackedWatchStream,
  WatchEvent,
  WatchResponse,
  WatchStream,
} from './etcd-client.ts';
import type { WatchReply } from './key-value-replies.ts';
import type { MessageReader } from './message-reader.ts';
import { PackedWatchDecoder, type PackedWatchReply } from './packed-watch-reply.ts';
import { rpcError } from './rpc-error.ts';
import type { Rpc } from './rpc.ts';
import { WATCH, type WatchCall } from './rpcs.ts';

/** A watch that etcd has been asked for. */
export interface LiveWatchCall {
  readonly endpoint: string;
  readonly reader: MessageReader;
  write(call: WatchCall): void;
}

/** See `WatchStream`. `start` is called by the first read. */
export function liveWatch(
  start: () => Promise<LiveWatchCall>,
  reassemble: boolean,
  signal: AbortSignal,
): WatchStream {
  let pieces: WatchEvent[] = [];
  const respond = (endpoint: string, reply: WatchReply): WatchResponse | undefined => {
    const { header, fragment } = reply;
    if (reassemble && (fragment || pieces.length > 0)) {
      pieces = pieces.concat(reply.events);
      if (fragment) return undefined;
    }
    const events = pieces.length > 0 ? pieces : reply.events;
    pieces = [];
    const kind = reply.created ? 'created' : events.length > 0 ? 'events' : 'progress';
    return { endpoint, header, kind, events, fragment: fragment && !reassemble };
  };
  return new LiveWatch(WATCH, start, respond, signal);
}

/** See `PackedWatchStream`. `start` is called by the first read. */
export function livePackedWatch(start: () => Promise<LiveWatchCall>, signal: AbortSignal): PackedWatchStream {
  const decoder = new PackedWatchDecoder();
  const rpc = { ...WATCH, decode: (bytes: Buffer) => decoder.decode(bytes) };
  const respond = (endpoint: string, reply: PackedWatchReply): PackedWatchResponse => {
    const { header, events, fragment } = reply;
    const kind = reply.created ? 'created' : events.count > 0 ? 'events' : 'progress';
    return { endpoint, header, kind, events, fragment };
  };
  return new LiveWatch(rpc, start, respond, signal);
}

/** Why etcd ends a watch, if it does. */
type WatchEnd = Pick<WatchReply, 'canceled' | 'compactRevision' | 'cancelReason'>;

class LiveWatch<Reply extends WatchEnd, Response> implements AsyncIterable<Response> {
  private readonly rpc: Rpc<WatchCall, Reply>;
  private readonly start: () => Promise<LiveWatchCall>;
  /** Undefined while more replies are needed. */
  private readonly respond: (endpoint: string, reply: Reply) => Response | undefined;
  private readonly signal: AbortSignal;
  private started = false;
  private call: LiveWatchCall | undefined;

  constructor(
    rpc: Rpc<WatchCall, Reply>,
    start: () => Promise<LiveWatchCall>,
    respond: (endpoint: string, reply: Reply) => Response | undefined,
    signal: AbortSignal,
  ) {
    this.rpc = rpc;
    this.start = start;
    this.respond = respond;
    this.signal = signal;
  }

  requestProgress(): void {
    this.call?.write({ progress_request: {} });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Response, void> {
    if (this.started) throw new Error('this watch was read already: it streams once');
    this.started = true;
    const call = await this.start();
    this.call = call;
    const { endpoint, reader } = call;
    const cancel = (): void => {
      reader.cancel();
    };
    this.signal.addEventListener('abort', cancel);
    if (this.signal.aborted) cancel();
    try {
      for (;;) {
        const message = reader.take() ?? (await reader.next());
        this.signal.throwIfAborted();
        if (!Buffer.isBuffer(message)) {
          const ended = message.kind === 'failed' ? message.error : ENDED;
          throw rpcError(endpoint, WATCH.name, ended, ended);
        }
        const reply = decodeReply(endpoint, this.rpc, message);
        if (reply.canceled) throw canceled(endpoint, reply);
        const response = this.respond(endpoint, reply);
        if (response !== undefined) yield response;
      }
    } finally {
      this.call = undefined;
      this.signal.removeEventListener('abort', cancel);
      cancel();
    }
  }
}

/** etcd never ends a watch's stream on its own account. */
const ENDED = { code: grpcStatus.UNAVAILABLE, details: 'the stream ended' };

function canceled(endpoint: string, reply: WatchEnd): GuardianError {
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
