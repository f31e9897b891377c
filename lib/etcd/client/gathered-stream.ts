import { reasonOf } from '../../guardian-error.ts';
import { endWhenSilent } from './end-when-silent.ts';
import type { DuplexCall } from './endpoint-connection.ts';
import {
  framed,
  openSession,
  type SessionLimits,
  startCall,
  tokenMetadata,
  UNAVAILABLE,
} from './grpc-call.ts';
import { MessageCutter, ownMemory } from './message-cutter.ts';
import { MessageReader, type NoMessage } from './message-reader.ts';
import type { SocketRoute } from './route.ts';
import type { Rpc } from './rpc.ts';
import { rpcError } from './rpc-error.ts';

export interface GatheredStreamOptions {
  readonly route: SocketRoute;
  readonly token: string | undefined;
  readonly limits: Pick<SessionLimits, 'connectTimeoutMs' | 'flowControlWindow'>;
  readonly signal: AbortSignal;
}

/**
 * As `EndpointConnection.duplexStream`, for a call whose many small messages may come `GATHER_MS` late: that takes a
 * quarter of the CPU time. It has a connection of its own, which ends with it.
 */
export async function gatheredStream<Request, Reply>(
  rpc: Rpc<Request, Reply>,
  { route, token, limits, signal }: GatheredStreamOptions,
): Promise<DuplexCall<Request>> {
  const session = await openSession(route, { ...limits, gatherMs: GATHER_MS }, signal).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      const failure = { code: UNAVAILABLE, details: reasonOf(error) };
      throw rpcError(route.endpoint.url, rpc.name, failure, error);
    },
  );
  const heard = endWhenSilent(session);
  const metadata = { ...tokenMetadata(token), hasleader: 'true' };
  const { stream, end } = startCall(session, rpc.path, metadata, (bytes) => {
    heard();
    try {
      cutter.write(bytes);
    } catch (error) {
      finish({ kind: 'failed', error: { code: INTERNAL, details: reasonOf(error) } });
    }
  });
  const reader = new MessageReader({
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    cancel: () => {
      session.destroy();
    },
  });
  const cutter = new MessageCutter(ownMemory(LONGEST_MESSAGE_BYTES), (message) => {
    reader.push(message);
  });
  const finish = (why: NoMessage): void => {
    reader.finish(why);
    session.destroy();
  };
  void end.then((ended) => {
    finish(ended.code === 0 ? { kind: 'ended' } : { kind: 'failed', error: ended });
  });
  return {
    reader,
    write: (request) => {
      if (!stream.destroyed) stream.write(framed(rpc.encode(request)));
    },
  };
}

/** Little beside the second in which changes are to be stored at the earliest. */
const GATHER_MS = 20;
/** Far more than etcd takes in one request (--max-request-bytes). */
const LONGEST_MESSAGE_BYTES = 2 ** 30;
/** gRPC: bytes that make no sense. */
const INTERNAL = 13;
