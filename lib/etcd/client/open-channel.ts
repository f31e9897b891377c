import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  connectivityState,
  credentials,
} from '@grpc/grpc-js';
import { isIP, isIPv6 } from 'node:net';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import { GuardianError } from '../../guardian-error.ts';
import { connectionFailure } from './connection-failure.ts';
import { type Route } from './route.ts';
import { walkConnection } from './walk-connection.ts';

export interface ChannelSettings {
  readonly connectTimeoutMs: number;
  /** Bytes that etcd may send ahead of our reading. */
  readonly flowControlWindow: number;
  /** Pings that notice a cut network within 11 seconds; false where silence is watched by other means. */
  readonly keepalive: boolean;
}

/**
 * Connects, and resolves once etcd has answered in HTTP/2. Rejects with the true reason within `connectTimeoutMs`, or with
 * the signal's. gRPC itself hides why a connection fails: when it gives up, or half the time is over, the same road is
 * walked by hand to see where it ends.
 */
export async function openChannel(
  route: Route,
  settings: ChannelSettings,
  signal: AbortSignal,
): Promise<Client> {
  const deadline = Date.now() + settings.connectTimeoutMs;
  let client = newClient(route, settings);
  const giveUp = (): void => {
    client.close();
  };
  signal.addEventListener('abort', giveUp);
  try {
    const first = await settled(client, deadline - settings.connectTimeoutMs / 2);
    if (first === 'ready') return client;
    signal.throwIfAborted();
    const explained = explain(route, settings, deadline - Date.now(), signal);
    // A slow handshake may still succeed meanwhile.
    const second =
      first === 'failed' ? await explained : await Promise.race([settled(client, deadline), explained]);
    if (second === 'ready') return client;
    const failure = await explained;
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;

    // The road is free by now, as after a restart.
    if (first === 'failed') {
      client.close();
      client = newClient(route, settings);
    }
    const last = await settled(client, deadline);
    if (last === 'ready') return client;
    signal.throwIfAborted();
    throw unexplained(route, settings, last);
  } catch (error) {
    client.close();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function newClient(route: Route, settings: ChannelSettings): Client {
  const { endpoint } = route;
  const host = isIPv6(endpoint.host) ? `[${endpoint.host}]` : endpoint.host;
  return new Client(`dns:///${host}:${endpoint.port}`, securityOf(route), {
    ...CHANNEL_OPTIONS,
    ...(settings.keepalive ? KEEPALIVE : {}),
    'grpc.ssl_target_name_override': nameForTls(route),
    'grpc-node.flow_control_window': settings.flowControlWindow,
  });
}

function securityOf(route: Route): ChannelCredentials {
  const { endpoint, serverName = endpoint.host, insecureSkipVerify } = route;
  if (!endpoint.secure) return credentials.createInsecure();
  const { ca, identity } = route.material;
  const context = createSecureContext({
    ...(ca === undefined ? {} : { ca }),
    ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }),
  });
  return credentials.createFromSecureContext(
    context,
    insecureSkipVerify
      ? { rejectUnauthorized: false, checkServerIdentity: () => undefined }
      : { checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate) },
  );
}

/**
 * What TLS tells the server as its name. It must not be an address (RFC 6066 §3), but grpc-js would send one all the same,
 * and Node 26 refuses that. What etcd's certificate must carry is checked apart from it.
 */
function nameForTls({ endpoint, serverName = endpoint.host }: Route): string {
  return isIP(serverName) === 0 ? serverName : 'etcd';
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

/** Waits until the channel connects or fails to, at most until `deadline`; a closed one has failed. */
function settled(client: Client, deadline: number): Promise<Settled> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const look = (timeUp?: Error): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) resolve('ready');
      else if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN)
        resolve('failed');
      else if (timeUp !== undefined) resolve('pending');
      else channel.watchConnectivityState(state, deadline, look);
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
