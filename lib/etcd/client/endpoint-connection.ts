import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { GuardianError, hasCode, reasonOf } from '../../guardian-error.ts';
import type { Endpoint } from './endpoint.ts';
import type { CallOptions } from './etcd-client.ts';
import type { EtcdCredentials } from './etcd-settings.ts';
import { type MessageReader, readCall } from './message-reader.ts';
import { type Channel, type ChannelSettings, openChannel } from './open-channel.ts';
import type { Route } from './route.ts';
import type { Rpc } from './rpc.ts';
import { rpcError } from './rpc-error.ts';
import { AUTHENTICATE } from './rpcs.ts';
import type { TlsMaterial, TlsMaterialSource } from './tls-material.ts';

export interface ConnectionSettings {
  readonly channel: ChannelSettings;
  readonly tls: TlsMaterialSource;
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
  readonly credentials: EtcdCredentials | undefined;
  readonly requestTimeoutMs: number;
  /** Ends everything when the client closes. */
  readonly closing: AbortSignal;
}

/** A call with streams both ways. */
export interface DuplexCall<Request> {
  readonly reader: MessageReader;
  write(request: Request): void;
}

/**
 * The calls of one endpoint. The connection is made when needed, and anew after it broke or when the certificates'
 * files changed; calls that run on the old one end there. With credentials each call carries a token, and one that etcd
 * doesn't take any more is renewed once.
 */
export class EndpointConnection {
  readonly endpoint: Endpoint;
  private readonly settings: ConnectionSettings;
  private open: { readonly channel: Channel; readonly material: TlsMaterial } | undefined;
  private opening: Promise<Channel> | undefined;
  /** What etcd gave us for our credentials; its token is undefined where authentication is off. */
  private pass: { readonly token: string | undefined } | undefined;

  constructor(endpoint: Endpoint, settings: ConnectionSettings) {
    this.endpoint = endpoint;
    this.settings = settings;
  }

  /** One request, one reply. Rejects with the errors of `EtcdClient`. */
  async call<Request, Reply>(
    rpc: Rpc<Request, Reply>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Reply> {
    const token = await this.currentToken(options);
    try {
      return await this.unary(rpc, request, token, options);
    } catch (error) {
      // Also when etcd had authentication off as we asked for a token, and has it on now.
      const stale = hasCode(error, 'etcd.unauthenticated') && (error.retryable || token === undefined);
      if (!stale || this.settings.credentials === undefined) throw error;
      return await this.unary(rpc, request, await this.freshToken(options), options);
    }
  }

  /**
   * What another connection to the endpoint is made with, once this one stands: that proves the route. The token is made
   * anew, since streams can't be tried twice.
   */
  async passage(
    options: CallOptions,
  ): Promise<{ readonly route: Route; readonly token: string | undefined }> {
    const token = await this.freshToken(options);
    await this.ready(options.signal);
    const { tls } = this.settings;
    return { route: this.route(this.open?.material ?? (await tls.current())), token };
  }

  /**
   * Starts a call with streams both ways. Its token is made anew, since a stream can't be tried twice. The call ends when
   * the member loses its leader.
   */
  async duplexStream<Request, Reply>(
    rpc: Rpc<Request, Reply>,
    options: CallOptions,
  ): Promise<DuplexCall<Request>> {
    const metadata = metadataWith(await this.freshToken(options));
    metadata.set('hasleader', 'true');
    const channel = await this.ready(options.signal);
    this.signalOf(options).throwIfAborted();
    const stream = channel.client.makeBidiStreamRequest(rpc.path, asIs, asIs, metadata);
    stream.once('status', channel.begin());
    return {
      reader: readCall(stream),
      write: (request) => {
        stream.write(rpc.encode(request));
      },
    };
  }

  /** Ends what still runs. */
  close(): void {
    this.open?.channel.destroy();
    this.open = undefined;
  }

  private async unary<Request, Reply>(
    rpc: Rpc<Request, Reply>,
    request: Request,
    token: string | undefined,
    options: CallOptions,
  ): Promise<Reply> {
    const signal = this.signalOf(options);
    const channel = await this.ready(options.signal);
    signal.throwIfAborted();
    const deadline = Date.now() + (options.timeoutMs ?? this.settings.requestTimeoutMs);
    const { error, reply } = await new Promise<{ error: ServiceError | null; reply: Buffer | undefined }>(
      (resolve) => {
        const ended = channel.begin();
        const call = channel.client.makeUnaryRequest<Buffer, Buffer>(
          rpc.path,
          asIs,
          asIs,
          rpc.encode(request),
          metadataWith(token),
          { deadline },
          (error, reply) => {
            ended();
            signal.removeEventListener('abort', cancel);
            resolve({ error, reply });
          },
        );
        const cancel = (): void => {
          call.cancel();
        };
        signal.addEventListener('abort', cancel);
        if (signal.aborted) cancel();
      },
    );
    signal.throwIfAborted();
    const { url } = this.endpoint;
    if (error !== null) {
      // etcd keeps the deadline too: on a busy machine its reset can be seen before our own timer fires.
      const late = error.code === status.CANCELLED && Date.now() >= deadline;
      const ended = late ? { code: status.DEADLINE_EXCEEDED, details: error.details } : error;
      throw rpcError(url, rpc.name, ended, error);
    }
    return decodeReply(url, rpc, reply ?? Buffer.alloc(0));
  }

  private async currentToken(options: CallOptions): Promise<string | undefined> {
    return this.pass === undefined ? await this.freshToken(options) : this.pass.token;
  }

  private async freshToken(options: CallOptions): Promise<string | undefined> {
    const { credentials } = this.settings;
    if (credentials === undefined) return undefined;
    const { username: name, password } = credentials;
    try {
      this.pass = await this.unary(AUTHENTICATE, { name, password }, undefined, options);
    } catch (error) {
      if (!hasCode(error, 'etcd.auth-off')) throw error;
      this.pass = { token: undefined };
    }
    return this.pass.token;
  }

  /** The signal of this one call and of the whole client. */
  private signalOf({ signal }: CallOptions): AbortSignal {
    const { closing } = this.settings;
    return signal === undefined ? closing : AbortSignal.any([signal, closing]);
  }

  private async ready(signal: AbortSignal | undefined): Promise<Channel> {
    const { tls, closing } = this.settings;
    (signal ?? closing).throwIfAborted();
    closing.throwIfAborted();
    const material = await tls.current();
    const { open } = this;
    const same = open?.material === material ? open.channel : undefined;
    if (same?.isReady() === true) return same;

    // Calls that come at once share one connection, and one reason why there is none.
    this.opening ??= this.connect(material, same);
    return signal === undefined ? this.opening : withSignal(this.opening, signal);
  }

  private route(material: TlsMaterial): Route {
    const { tls, serverName, insecureSkipVerify } = this.settings;
    return { endpoint: this.endpoint, material, serverName, insecureSkipVerify, complaint: tls.complaint };
  }

  /** `broken` is the channel so far, when it was made with the same material. */
  private async connect(material: TlsMaterial, broken: Channel | undefined): Promise<Channel> {
    const { closing, channel: settings } = this.settings;
    try {
      const channel = await openChannel(this.route(material), settings, closing, broken);
      if (channel !== this.open?.channel) this.open?.channel.retire();
      this.open = { channel, material };
      return channel;
    } catch (error) {
      if (broken !== undefined) this.open = undefined;
      throw error;
    } finally {
      this.opening = undefined;
    }
  }
}

/** Reads a reply, or rejects with `etcd.protocol`. */
export function decodeReply<Request, Reply>(url: string, rpc: Rpc<Request, Reply>, bytes: Buffer): Reply {
  try {
    return rpc.decode(bytes);
  } catch (error) {
    const message = `${url} answered ${rpc.name} with ${bytes.length} bytes that no etcd sends: ${reasonOf(error)}`;
    throw new GuardianError('etcd.protocol', message, {
      hint: 'check that the endpoint is etcd 3.4 or newer, and that no proxy rewrites what it says',
      cause: error,
    });
  }
}

function metadataWith(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('token', token);
  return metadata;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/** Like `promise`, but rejects when `signal` aborts; the promise itself goes on for others who wait for it. */
async function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
  });
  signal.addEventListener('abort', stop);
  try {
    await Promise.race([promise, aborted]);
    signal.throwIfAborted();
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
