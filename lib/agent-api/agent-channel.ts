import { type ChannelOptions, Client, connectivityState } from '@grpc/grpc-js';
import type { Credentials } from '../pki/credentials.ts';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../guardian-error.ts';
import { verifyCertificate } from '../pki/verify-certificate.ts';
import { clientTls } from '../pki/mutual-tls.ts';
import { peerIdentity } from '../pki/peer-identity.ts';
import { AgentSocketCredentials } from './agent-socket-credentials.ts';
import { type Callee, noConnection } from './connection-error.ts';
import { MAX_REPLY_BYTES, MAX_REQUEST_BYTES } from './methods.ts';
import { RefusedAfterHandshake, walkToAgent } from './walk-to-agent.ts';

/** A connection to an agent, made with the credentials of one moment. */
export interface AgentChannel {
  readonly credentials: Credentials;
  /** Resolves when it stands, made anew where it broke. Rejects with the true reason, or the signal's. */
  ready(signal: AbortSignal): Promise<Client>;
  /** Takes no further calls; those that run go on, and the connection ends with the last one. */
  retire(): void;
  /** Ends it at once, with the calls that run. */
  destroy(): void;
}

export function agentChannel(
  callee: Callee,
  credentials: Credentials,
  clock: Clock,
  connectTimeoutMs: number,
): AgentChannel {
  const { cluster } = peerIdentity(credentials.certificate);
  const options = clientTls(credentials, { cluster, roles: ['agent'], node: callee.node }, clock);
  const sockets = new AgentSocketCredentials(options);
  let client = new Client(callee.address, sockets, CHANNEL_OPTIONS);
  /** Tries at once: gRPC would first wait out the back-off of a failure from before we asked, which says nothing about now. */
  const connected = async (deadline: number, signal: AbortSignal): Promise<Settled> => {
    if (client.getChannel().getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE) {
      client.close();
      client = new Client(callee.address, sockets, CHANNEL_OPTIONS);
    }
    return settled(client, deadline, signal);
  };
  return {
    credentials,
    async ready(signal) {
      const deadline = Date.now() + connectTimeoutMs;
      const end = await connected(deadline, signal);
      if (end === 'ready') return client;
      signal.throwIfAborted();
      const remainingMs = Math.max(deadline - Date.now(), MIN_WALK_MS);
      const failure = sockets.failure ?? (await walkToAgent(callee.address, options, remainingMs));
      signal.throwIfAborted();
      if (failure !== undefined) throw noConnection(callee, explained(failure, credentials, clock()));
      // The road is free by now, as after a restart.
      if ((await connected(Date.now() + MIN_WALK_MS, signal)) === 'ready') return client;
      signal.throwIfAborted();
      throw noConnection(callee, new Error(`no connection within ${connectTimeoutMs} ms`));
    },
    retire() {
      client.close();
    },
    destroy() {
      client.close();
      sockets.destroySockets();
    },
  };
}

/** Who is refused may find out by looking at himself. */
function explained(failure: Error, credentials: Credentials, now: Date): Error {
  if (!(failure instanceof RefusedAfterHandshake)) return failure;
  try {
    verifyCertificate(credentials.certificate, {
      authorities: credentials.authorities,
      now,
      usage: 'client',
    });
    return failure;
  } catch (error) {
    return new RefusedAfterHandshake(reasonOf(error), { cause: error });
  }
}

/** Finding out why takes a little time, also when there is none left. */
const MIN_WALK_MS = 1_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_REPLY_BYTES,
  'grpc.max_send_message_length': MAX_REQUEST_BYTES,
  // Whoever calls decides about another try.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  // Notices within half a minute that a node is gone, whose calls may be silent for long.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Whoever asks again soon gets an answer soon.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 5_000,
};

type Settled = 'ready' | 'failed' | 'pending';

/** Waits until it connects or fails to, at most until `deadline`, or the signal. */
function settled(client: Client, deadline: number, signal: AbortSignal): Promise<Settled> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const stop = (): void => {
      resolve('failed');
    };
    signal.addEventListener('abort', stop, { once: true });
    const look = (timeUp?: Error): void => {
      const closed = channel.getConnectivityState(false) === connectivityState.SHUTDOWN;
      const state = channel.getConnectivityState(!closed);
      const failed = state === connectivityState.TRANSIENT_FAILURE;
      if (signal.aborted || closed || failed) resolve('failed');
      else if (state === connectivityState.READY) resolve('ready');
      else if (timeUp !== undefined) resolve('pending');
      else {
        channel.watchConnectivityState(state, deadline, look);
        return;
      }
      signal.removeEventListener('abort', stop);
    };
    look();
  });
}
