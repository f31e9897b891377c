import { type ChannelOptions, Client, connectivityState } from '@grpc/grpc-js';
import { isIPv6 } from 'node:net';
import { GuardianError } from '../../guardian-error.ts';
import { connectionFailure } from './connection-failure.ts';
import type { Route } from './route.ts';
import { SocketCredentials } from './socket-credentials.ts';
import { walkConnection } from './walk-connection.ts';

export interface ChannelSettings {
  readonly connectTimeoutMs: number;
  /** Bytes that etcd may send ahead of our reading. */
  readonly flowControlWindow: number;
  /** Pings that notice a cut network within 11 seconds; false where silence is watched by other means. */
  readonly keepalive: boolean;
}

/** A connection to one endpoint. */
export interface Channel {
  readonly client: Client;
  isReady(): boolean;
  /** A call begins; what is returned tells its end, once. */
  begin(): () => void;
  /** To be used for no further calls; those that run go on, and the connection ends with the last one. */
  retire(): void;
  /** Ends it at once, with the calls that run. */
  destroy(): void;
}

/**
 * Connects, and resolves once etcd has answered in HTTP/2. Rejects with the true reason within `connectTimeoutMs`, or with
 * the signal's. gRPC itself hides why a connection fails: when it gives up, or half the time is over, the same road is
 * walked by hand to see where it ends.
 *
 * A channel that lost its connection is given as `broken`: it connects again, remembering how often etcd lets it ping,
 * or is destroyed.
 */
export async function openChannel(
  route: Route,
  settings: ChannelSettings,
  signal: AbortSignal,
  broken?: Channel,
): Promise<Channel> {
  signal.throwIfAborted();
  // Not by the clock of the day, which may be set meanwhile.
  const deadline = performance.now() + settings.connectTimeoutMs;
  let channel = broken ?? newChannel(route, settings);
  const giveUp = (): void => {
    channel.destroy();
  };
  signal.addEventListener('abort', giveUp);
  try {
    const first = await settled(channel, deadline - settings.connectTimeoutMs / 2);
    if (first === 'ready') return channel;
    signal.throwIfAborted();
    const explained = explain(route, settings, deadline - performance.now(), signal);
    // A slow handshake may still succeed meanwhile.
    const second =
      first === 'failed' ? await explained : await Promise.race([settled(channel, deadline), explained]);
    if (second === 'ready') return channel;
    const failure = await explained;
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;

    // The road is free by now, as after a restart.
    if (first === 'failed') {
      channel.destroy();
      channel = newChannel(route, settings);
    }
    const last = await settled(channel, deadline);
    if (last === 'ready') return channel;
    signal.throwIfAborted();
    throw unexplained(route, settings, last);
  } catch (error) {
    channel.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function newChannel(route: Route, settings: ChannelSettings): Channel {
  const { host, port, socketPath } = route.endpoint;
  const credentials = new SocketCredentials(route);
  const address =
    socketPath === undefined ? `dns:///${isIPv6(host) ? `[${host}]` : host}:${port}` : `unix:${socketPath}`;
  const client = new Client(address, credentials, {
    ...CHANNEL_OPTIONS,
    ...(settings.keepalive ? KEEPALIVE : {}),
    'grpc-node.flow_control_window': settings.flowControlWindow,
  });
  let running = 0;
  let retired = false;
  // Not before: gRPC lets calls go on when a channel is closed, but its next ping then fails, and ends them.
  const closeWhenUnused = (): void => {
    if (retired && running === 0) client.close();
  };
  return {
    client,
    isReady: () => client.getChannel().getConnectivityState(false) === connectivityState.READY,
    begin: () => {
      running++;
      return () => {
        running--;
        closeWhenUnused();
      };
    },
    retire: () => {
      retired = true;
      // Whoever was just given this channel begins first.
      setImmediate(closeWhenUnused);
    },
    destroy: () => {
      client.close();
      credentials.destroySockets();
    },
  };
}

const CHANNEL_OPTIONS: ChannelOptions = {
  // A response to a range has no limit of its own; what is streamed comes in pieces.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // Whoever calls decides about another try.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // Connections belong to one client, so that closing it closes them, and other certificates mean other connections.
  'grpc.use_local_subchannel_pool': 1,
  // Proxies of the environment are meant for the web, not for etcd next door.
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

/** etcd closes connections that ping more often than every 5 s (--grpc-keepalive-min-time). */
const KEEPALIVE: ChannelOptions = { 'grpc.keepalive_time_ms': 6_000, 'grpc.keepalive_timeout_ms': 5_000 };

type Settled = 'ready' | 'failed' | 'pending';

/** Waits until the channel connects or fails to, at most until `deadline` (of `performance.now`); a closed one has failed. */
function settled({ client }: Channel, deadline: number): Promise<Settled> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const look = (timeUp?: Error): void => {
      // Asking a closed channel to connect would make it do so.
      const closed = channel.getConnectivityState(false) === connectivityState.SHUTDOWN;
      const state = channel.getConnectivityState(!closed);
      if (state === connectivityState.READY) resolve('ready');
      else if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN)
        resolve('failed');
      else if (timeUp !== undefined) resolve('pending');
      else channel.watchConnectivityState(state, Date.now() + deadline - performance.now(), look);
    };
    look();
  });
}

async function explain(
  route: Route,
  settings: ChannelSettings,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<GuardianError | undefined> {
  const walk = await walkConnection(route, timeoutMs, signal);
  return connectionFailure(route, walk, settings.connectTimeoutMs, new Date());
}

function unexplained(route: Route, { connectTimeoutMs }: ChannelSettings, last: Settled): GuardianError {
  const { url } = route.endpoint;
  if (last === 'pending') {
    return new GuardianError(
      'etcd.connect-timeout',
      `no connection to ${url} within ${connectTimeoutMs} ms`,
      {
        hint: 'it answers, but too slowly: the member or the network is overloaded; try again',
        retryable: true,
      },
    );
  }
  return new GuardianError('etcd.unreachable', `${url} answers, but a connection for gRPC fails`, {
    hint: 'the member may be starting or going down: try again',
    retryable: true,
  });
}
