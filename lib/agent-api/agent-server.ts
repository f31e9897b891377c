import {
  type MethodDefinition,
  type sendUnaryData,
  Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Clock } from '../clock.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { CredentialSource } from '../pki/credential-folder.ts';
import type { PeerIdentity } from '../pki/identity.ts';
import { admitClient } from '../pki/mutual-tls.ts';
import { peerIdentity } from '../pki/peer-identity.ts';
import { AgentServerCredentials } from './agent-server-credentials.ts';
import { carried } from './carried-error.ts';
import { encodable, type Sent } from './fields.ts';
import {
  MAX_REPLY_BYTES,
  MAX_REQUEST_BYTES,
  type Method,
  METHODS,
  type ReplyOf,
  type RequestOf,
  SERVICE,
  type StreamName,
  type UnaryName,
  wireOf,
} from './methods.ts';

/** What a handler knows of a call beside its request. */
export interface AgentCall {
  readonly peer: PeerIdentity;
  /** Aborts when the caller hung up. */
  readonly signal: AbortSignal;
}

/** What an agent does; a method that is left out answers `agent.unsupported`. Errors reach the caller as they are. */
export type AgentHandlers = {
  readonly [M in UnaryName]?: (request: RequestOf<M>, call: AgentCall) => Promise<Sent<ReplyOf<M>>>;
} & {
  readonly [M in StreamName]?: (request: RequestOf<M>, call: AgentCall) => AsyncIterable<Sent<ReplyOf<M>>>;
};

export interface AgentServerSettings {
  /** Default: all of the machine's. */
  readonly address?: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  /** How a call failed that is nobody's known error, i.e. by a mistake in this program. */
  readonly onUnexpected: (method: string, error: unknown) => void;
}

export interface AgentServer {
  readonly port: number;
  /** What health checks are told. */
  setServing(serving: boolean): void;
  /** Takes no further calls, waits for those that run at most so long, then ends them. */
  close(graceMs: number): Promise<void>;
}

/**
 * Answers agent.proto over mutual TLS 1.3. Who calls is judged anew with each call, by the credentials of now: connections
 * outlive certificates. Rejects with `agent.port` when the port can't be had, and with `pki.credentials`.
 */
export async function serveAgentApi(
  handlers: AgentHandlers,
  settings: AgentServerSettings,
): Promise<AgentServer> {
  const credentials = new AgentServerCredentials(await settings.credentials.current(), settings.credentials);
  const server = new Server(SERVER_OPTIONS);
  const health = new HealthImplementation({ '': 'SERVING', [SERVICE]: 'SERVING' });
  health.addToServer(server);
  const table: Readonly<Record<string, unknown>> = handlers;
  const definition = Object.fromEntries(Object.values(METHODS).map((one) => [one.name, rawRequests(one)]));
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(METHODS)) {
    const handle = table[name] as Handle | undefined;
    implementation[method.name] = method.streams
      ? streamHandler(method, handle, settings)
      : unaryHandler(method, handle, settings);
  }
  server.addService(definition, implementation);
  try {
    const port = await bound(server, settings, credentials);
    return {
      port,
      setServing(serving) {
        health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
        health.setStatus(SERVICE, serving ? 'SERVING' : 'NOT_SERVING');
      },
      async close(graceMs) {
        credentials.stop();
        await closed(server, graceMs);
      },
    };
  } catch (error) {
    credentials.stop();
    throw error;
  }
}

const SERVER_OPTIONS = {
  'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
  'grpc.max_send_message_length': MAX_REPLY_BYTES,
  'grpc.max_concurrent_streams': 200,
  'grpc.enable_channelz': 0,
  // Ends what a caller whose node died left behind.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

type Handle = (request: unknown, call: AgentCall) => Promise<unknown> | AsyncIterable<unknown>;
type AnyCall = Pick<ServerUnaryCall<Buffer, object>, 'request' | 'getAuthContext' | 'on' | 'cancelled'>;

/** Requests are read by us, after we know who asks. */
function rawRequests(method: Method): MethodDefinition<Buffer, object> {
  return { ...wireOf(method), requestDeserialize: (bytes: Buffer) => bytes };
}

function unaryHandler(method: Method, handle: Handle | undefined, settings: AgentServerSettings) {
  return (call: ServerUnaryCall<Buffer, object>, reply: sendUnaryData<object>): void => {
    const answer = async (): Promise<void> => {
      try {
        const [request, about] = await admitted(method, handle, call, settings);
        const value = await (handle?.(request, about) as Promise<unknown>);
        reply(null, Object(encodable(value)) as object);
      } catch (error) {
        tell(method, error, settings);
        reply(carried(error));
      }
    };
    void answer();
  };
}

function streamHandler(method: Method, handle: Handle | undefined, settings: AgentServerSettings) {
  return (call: ServerWritableStream<Buffer, object>): void => {
    const answer = async (): Promise<void> => {
      try {
        const [request, about] = await admitted(method, handle, call, settings);
        for await (const update of handle?.(request, about) as AsyncIterable<unknown>) {
          if (about.signal.aborted) return;
          if (!call.write(Object(encodable(update)) as object)) await drained(call, about.signal);
        }
        call.end();
      } catch (error) {
        if (call.cancelled) return;
        tell(method, error, settings);
        call.emit('error', carried(error));
      }
    };
    void answer();
  };
}

/** Resolves when a slow reader has taken what waits, or hung up. */
function drained(call: ServerWritableStream<Buffer, object>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** Who calls and what is asked, or why not. */
async function admitted(
  method: Method,
  handle: Handle | undefined,
  call: AnyCall,
  { credentials, clock }: AgentServerSettings,
): Promise<readonly [request: unknown, about: AgentCall]> {
  const gone = new AbortController();
  call.on('cancelled', () => {
    gone.abort(new GuardianError('agent.hung-up', 'the caller hung up'));
  });
  const current = await credentials.current();
  const { cluster } = peerIdentity(current.certificate);
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined)
    throw new GuardianError('pki.untrusted', 'a caller without a certificate', {
      hint: 'Only the control plane, agents and break-glass identities connect here.',
    });
  const peer = admitClient(certificate, current, { cluster, roles: method.callers }, clock());
  if (handle === undefined)
    throw new GuardianError('agent.unsupported', `this agent doesn't do ${method.name}`, {
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
    });
  try {
    return [
      method.request.parse(wireOf(method).requestDeserialize(call.request)),
      { peer, signal: gone.signal },
    ];
  } catch (error) {
    throw new GuardianError('agent.request', `a ${method.name} that makes no sense: ${reasonOf(error)}`, {
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
      cause: error,
    });
  }
}

function tell(method: Method, error: unknown, { onUnexpected }: AgentServerSettings): void {
  if (!(error instanceof GuardianError)) onUnexpected(method.name, error);
}

async function bound(
  server: Server,
  { address = '[::]', port }: AgentServerSettings,
  credentials: AgentServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${address}:${port}`, credentials, (error, taken) => {
      if (error === null) resolve(taken);
      else
        reject(
          new GuardianError('agent.port', `can't listen on ${address}:${port}: ${error.message}`, {
            hint: 'Another process may have the port: choose another one, or end that process.',
            cause: error,
          }),
        );
    });
  });
}

async function closed(server: Server, graceMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    server.forceShutdown();
    resolve(undefined);
  }, graceMs);
  server.tryShutdown(() => {
    resolve(undefined);
  });
  await promise;
  clearTimeout(timer);
}
