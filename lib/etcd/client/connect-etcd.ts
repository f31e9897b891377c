import { GuardianError } from '../../guardian-error.ts';
import { type DuplexCall, EndpointConnection } from './endpoint-connection.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import type {
  Alarm,
  CallOptions,
  EndpointStatus,
  EtcdClient,
  HashKV,
  Key,
  LeaseList,
  LeaseTimeToLive,
  MemberList,
  MemberStatus,
  PackedWatchRequest,
  PackedWatchStream,
  RangeOptions,
  RangeResult,
  SnapshotOptions,
  SnapshotStream,
  WatchRequest,
  WatchStream,
} from './etcd-client.ts';
import type { EtcdSettings } from './etcd-settings.ts';
import { gatheredStream } from './gathered-stream.ts';
import { firstToAnswer } from './first-to-answer.ts';
import { memberStatus } from './member-status.ts';
import type { Rpc } from './rpc.ts';
import * as rpcs from './rpcs.ts';
import type { WatchCall } from './rpcs.ts';
import type { ChannelSettings } from './open-channel.ts';
import { socketRoute } from './route.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { LiveSnapshot } from './snapshot-stream.ts';
import { tlsMaterialSource, type TlsMaterialSource } from './tls-material.ts';
import { livePackedWatch, liveWatch, type LiveWatchCall } from './watch-stream.ts';

/** Dials nothing yet. Rejects with `etcd.settings` when the settings make no sense. */
export function connectEtcd(settings: EtcdSettings): EtcdClient {
  return new GrpcEtcdClient(settings);
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const SNAPSHOT_IDLE_TIMEOUT_MS = 20_000;
const SNAPSHOT_WINDOW_BYTES = 4 << 20;
/** On a slow line the answer to a ping waits behind what is on its way: this is little enough for 200 KB/s. */
const CALLS_WINDOW_BYTES = 1 << 20;

class GrpcEtcdClient implements EtcdClient {
  readonly endpoints: readonly string[];
  private readonly settings: EtcdSettings;
  private readonly tls: TlsMaterialSource;
  private readonly closing = new AbortController();
  /** By url; kept for the client's life, since their number is that of the members. */
  private readonly connections = new Map<string, EndpointConnection>();

  constructor(settings: EtcdSettings) {
    this.settings = settings;
    this.tls = tlsMaterialSource(settings.tls ?? {});
    this.endpoints = [...new Set(settings.endpoints.map((endpoint) => this.locate(endpoint).url))];
    if (this.endpoints.length === 0) {
      throw new GuardianError('etcd.settings', 'no endpoint of etcd is given', {
        hint: 'give at least one, e.g. https://127.0.0.1:2379',
      });
    }
  }

  async status(endpoint: string, options: CallOptions = {}): Promise<MemberStatus> {
    return statusOf(this.connection(endpoint), options);
  }

  async statuses(options: CallOptions = {}): Promise<EndpointStatus[]> {
    return Promise.all(
      this.endpoints.map(async (endpoint): Promise<EndpointStatus> => {
        try {
          return { endpoint, status: await this.status(endpoint, options) };
        } catch (error) {
          this.signalOf(options).throwIfAborted();
          if (!(error instanceof GuardianError)) throw error;
          return { endpoint, error };
        }
      }),
    );
  }

  async members(options: CallOptions = {}): Promise<MemberList> {
    return this.first(rpcs.MEMBER_LIST, {}, options);
  }

  async alarms(options: CallOptions = {}): Promise<Alarm[]> {
    return [...(await this.first(rpcs.ALARM, { action: 'GET' }, options))];
  }

  async hashKV(endpoint: string, revision: bigint, options: CallOptions = {}): Promise<HashKV> {
    const request = { revision: revision.toString() };
    const reply = await this.connection(endpoint).call(rpcs.HASH_KV, request, options);
    if (reply.hashRevision !== 0n) return reply;
    // Before 3.6.
    return { ...reply, hashRevision: revision === 0n ? reply.header.revision : revision };
  }

  snapshot(endpoint: string, options: SnapshotOptions = {}): SnapshotStream {
    const target = this.locate(endpoint);
    const signal = this.signalOf(options);
    const idleTimeoutMs = options.idleTimeoutMs ?? SNAPSHOT_IDLE_TIMEOUT_MS;
    const start = async (): Promise<SnapshotReceiver> => {
      // gRPC's own road tells best why there is no connection, and gives a fresh token.
      const connection = this.newConnection(target, {
        flowControlWindow: CALLS_WINDOW_BYTES,
        keepalive: false,
      });
      try {
        const { route, token } = await connection.passage({ signal });
        return new SnapshotReceiver({
          route: socketRoute(route),
          token,
          paths: { status: rpcs.STATUS.path, snapshot: rpcs.SNAPSHOT.path },
          connectTimeoutMs: this.settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
          flowControlWindow: this.settings.flowControlWindow ?? SNAPSHOT_WINDOW_BYTES,
          idleTimeoutMs,
        });
      } finally {
        connection.close();
      }
    };
    return new LiveSnapshot(target.url, start, { signal, idleTimeoutMs });
  }

  async range(key: Key, options: RangeOptions = {}): Promise<RangeResult> {
    const request = {
      key: bytesOf(key),
      range_end: options.rangeEnd === undefined ? undefined : bytesOf(options.rangeEnd),
      limit: options.limit?.toString(),
      revision: options.revision?.toString(),
      serializable: options.serializable,
      keys_only: options.keysOnly,
      count_only: options.countOnly,
    };
    return options.endpoint === undefined
      ? this.first(rpcs.RANGE, request, options)
      : this.connection(options.endpoint).call(rpcs.RANGE, request, options);
  }

  watch(request: WatchRequest): WatchStream {
    const signal = this.signalOf(request);
    const start = (): Promise<LiveWatchCall> =>
      this.startWatch(request, signal, (connection) => connection.duplexStream(rpcs.WATCH, { signal }));
    return liveWatch(start, request.reassemble ?? true, signal);
  }

  watchPacked(request: PackedWatchRequest): PackedWatchStream {
    const signal = this.signalOf(request);
    const limits = {
      connectTimeoutMs: this.settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      flowControlWindow: CALLS_WINDOW_BYTES,
    };
    const start = (): Promise<LiveWatchCall> =>
      this.startWatch(request, signal, async (connection) => {
        // As for a snapshot.
        const { route, token } = await connection.passage({ signal });
        return gatheredStream(rpcs.WATCH, { route: socketRoute(route), token, limits, signal });
      });
    return livePackedWatch(start, signal);
  }

  async leases(options: CallOptions = {}): Promise<LeaseList> {
    return this.first(rpcs.LEASE_LEASES, {}, options);
  }

  async leaseTimeToLive(id: bigint, options: CallOptions = {}): Promise<LeaseTimeToLive | undefined> {
    const reply = await this.first(rpcs.LEASE_TIME_TO_LIVE, { ID: id.toString() }, options);
    return reply.ttl === -1n ? undefined : reply;
  }

  close(): Promise<void> {
    this.closing.abort(new GuardianError('etcd.closed', 'the client of etcd was closed'));
    for (const connection of this.connections.values()) connection.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private startWatch(
    request: WatchRequest,
    signal: AbortSignal,
    open: (connection: EndpointConnection) => Promise<DuplexCall<WatchCall>>,
  ): Promise<LiveWatchCall> {
    const endpoints = request.endpoint === undefined ? this.endpoints : [request.endpoint];
    return firstToAnswer(
      endpoints.map((endpoint) => this.connection(endpoint)),
      async (connection) => {
        const stream = await open(connection);
        stream.write({
          create_request: {
            key: bytesOf(request.key),
            range_end: request.rangeEnd === undefined ? undefined : bytesOf(request.rangeEnd),
            start_revision: request.startRevision?.toString(),
            progress_notify: request.progressNotify ?? false,
            prev_kv: request.prevKv ?? false,
            fragment: request.fragment ?? true,
          },
        });
        return { endpoint: connection.endpoint.url, ...stream };
      },
      signal,
    );
  }

  private first<Request, Reply>(
    rpc: Rpc<Request, Reply>,
    request: Request,
    options: CallOptions,
  ): Promise<Reply> {
    const connections = this.endpoints.map((endpoint) => this.connection(endpoint));
    return firstToAnswer(
      connections,
      (connection) => connection.call(rpc, request, options),
      this.signalOf(options),
    );
  }

  private connection(endpoint: string): EndpointConnection {
    const target = this.locate(endpoint);
    let connection = this.connections.get(target.url);
    if (connection === undefined) {
      connection = this.newConnection(target, { flowControlWindow: CALLS_WINDOW_BYTES, keepalive: true });
      this.connections.set(target.url, connection);
    }
    return connection;
  }

  private newConnection(
    target: Endpoint,
    channel: Omit<ChannelSettings, 'connectTimeoutMs'>,
  ): EndpointConnection {
    const { tls, credentials, connectTimeoutMs, requestTimeoutMs } = this.settings;
    return new EndpointConnection(target, {
      channel: { ...channel, connectTimeoutMs: connectTimeoutMs ?? CONNECT_TIMEOUT_MS },
      tls: this.tls,
      serverName: tls?.serverName,
      insecureSkipVerify: tls?.insecureSkipVerify ?? false,
      credentials,
      requestTimeoutMs: requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      closing: this.closing.signal,
    });
  }

  private locate(endpoint: string): Endpoint {
    const { tls, socketPath } = this.settings;
    return { ...parseEndpoint(endpoint, tls !== undefined), socketPath };
  }

  private signalOf({ signal }: { readonly signal?: AbortSignal | undefined }): AbortSignal {
    const closing = this.closing.signal;
    return signal === undefined ? closing : AbortSignal.any([signal, closing]);
  }
}

async function statusOf(connection: EndpointConnection, options: CallOptions): Promise<MemberStatus> {
  const reply = await connection.call(rpcs.STATUS, {}, options);
  return memberStatus(connection.endpoint.url, reply);
}

function bytesOf(key: Key): Uint8Array {
  return typeof key === 'string' ? Buffer.from(key) : key;
}
