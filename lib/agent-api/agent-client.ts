import type { Client, ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { CredentialSource } from '../pki/credential-folder.ts';
import type { Credentials } from '../pki/credentials.ts';
import { type AgentChannel, agentChannel } from './agent-channel.ts';
import { type Callee, callError } from './connection-error.ts';
import { encodable, type Sent } from './fields.ts';
import {
  type Method,
  METHODS,
  type ReplyOf,
  type RequestOf,
  type StreamName,
  type UnaryName,
  wireOf,
} from './methods.ts';

export interface AgentConnection {
  /** host:port, e.g. `10.0.0.5:9640` or `[fd00::5]:9640`. */
  readonly address: string;
  /** Whose agent must answer there. */
  readonly node: string;
  /** Who we are; a source is asked before each call, and changed files mean a new connection. */
  readonly credentials: CredentialSource | Credentials;
  readonly clock: Clock;
  readonly connectTimeoutMs?: number | undefined;
}

export interface AgentCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For a whole call with one reply; default 15 s. Streams end when their work does, when the connection breaks, or by the signal. */
  readonly timeoutMs?: number | undefined;
}

type Calls = {
  readonly [M in UnaryName]: (request: Sent<RequestOf<M>>, options?: AgentCallOptions) => Promise<ReplyOf<M>>;
} & {
  readonly [M in StreamName]: (
    request: Sent<RequestOf<M>>,
    options?: AgentCallOptions,
  ) => AsyncGenerator<ReplyOf<M>, void, undefined>;
};

/**
 * An agent, called from elsewhere: the methods of agent.proto. They reject with the errors that the agent sends
 * (`agent.stale-term`, `agent.busy`, the store's, etcd's …), with the signal's reason, and with `agent.unreachable`,
 * `agent.connection-lost`, `agent.deadline` (all retryable), `agent.certificate`, `agent.identity` (another one answers
 * at that address), `agent.unsupported`, `agent.protocol`. Leaving a stream early hangs up, which ends no work.
 */
export interface AgentClient extends Calls {
  readonly node: string;
  readonly address: string;
  /** Ends the connection, with the calls that run. */
  close(): void;
}

/** Connects with the first call. */
export function connectAgent(connection: AgentConnection): AgentClient {
  const caller = new Caller(connection);
  const calls = Object.entries(METHODS).map(([name, method]) => [
    name,
    (request: unknown, options: AgentCallOptions = {}) =>
      method.streams ? caller.stream(method, request, options) : caller.unary(method, request, options),
  ]);
  const { node, address } = connection;
  // METHODS has exactly the names and messages of `Calls`.
  return {
    ...(Object.fromEntries(calls) as Calls),
    node,
    address,
    close: () => {
      caller.close();
    },
  };
}

const CONNECT_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 15_000;

class Caller {
  private readonly connection: AgentConnection;
  private readonly callee: Callee;
  private readonly closing = new AbortController();
  private channel: AgentChannel | undefined;

  constructor(connection: AgentConnection) {
    this.connection = connection;
    this.callee = connection;
  }

  close(): void {
    this.closing.abort(
      new GuardianError('agent.closed', `the connection to the agent of ${this.callee.node} was closed`),
    );
    this.channel?.destroy();
  }

  async unary(method: Method, request: unknown, options: AgentCallOptions): Promise<unknown> {
    const signal = this.signalOf(options);
    const deadline = Date.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS);
    const client = await this.ready(signal);
    const { path, requestSerialize } = wireOf(method);
    const reply = await new Promise<Buffer>((resolve, reject) => {
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        asIs,
        encoded(request),
        { deadline },
        (error: ServiceError | null, bytes?: Buffer) => {
          signal.removeEventListener('abort', cancel);
          if (bytes !== undefined) resolve(bytes);
          else reject(asError(this.failure(method, error, signal)));
        },
      );
      const cancel = (): void => {
        call.cancel();
      };
      signal.addEventListener('abort', cancel, { once: true });
    });
    return this.decoded(method, reply);
  }

  async *stream(method: Method, request: unknown, options: AgentCallOptions): AsyncGenerator<unknown, void> {
    const signal = this.signalOf(options);
    const client = await this.ready(signal);
    const { path, requestSerialize } = wireOf(method);
    const call = client.makeServerStreamRequest(path, requestSerialize, asIs, encoded(request), {});
    const cancel = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const bytes of call) yield this.decoded(method, Buffer.from(bytes as Uint8Array));
    } catch (error) {
      throw this.failure(method, error, signal);
    } finally {
      signal.removeEventListener('abort', cancel);
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  private signalOf({ signal }: AgentCallOptions): AbortSignal {
    return signal === undefined ? this.closing.signal : AbortSignal.any([signal, this.closing.signal]);
  }

  private async ready(signal: AbortSignal): Promise<Client> {
    signal.throwIfAborted();
    const { credentials, clock, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.connection;
    const current = 'current' in credentials ? await credentials.current() : credentials;
    signal.throwIfAborted();
    if (this.channel?.credentials !== current) {
      this.channel?.retire();
      this.channel = agentChannel(this.callee, current, clock, connectTimeoutMs);
    }
    return await this.channel.ready(signal);
  }

  private failure(method: Method, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    return isServiceError(error) ? callError(this.callee, method.name, error) : error;
  }

  private decoded(method: Method, reply: Buffer): unknown {
    try {
      return method.reply.parse(wireOf(method).responseDeserialize(reply));
    } catch (error) {
      throw new GuardianError(
        'agent.protocol',
        `the agent of ${this.callee.node} answered ${method.name} with ${reply.length} bytes that make no sense: ${reasonOf(error)}`,
        { hint: 'Agent and caller must be of the same version: finish the upgrade.', cause: error },
      );
    }
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'metadata' in error && 'details' in error;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(reasonOf(error));
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function encoded(request: unknown): object {
  return Object(encodable(request)) as object;
}
