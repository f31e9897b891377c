import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as http2 } from 'node:http2';
import { connect as tcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatheringSocket } from './gathering-socket.ts';
import type { SocketRoute } from './route.ts';
import { distrustOf, startTls } from './start-tls.ts';

/** How a call ended: a code of gRPC (grpc's doc/statuscodes.md; 0: well) and the server's words. */
export interface CallEnd {
  readonly code: number;
  readonly details: string;
}

export interface SessionLimits {
  readonly connectTimeoutMs: number;
  /** Bytes that the server may send ahead of our reading. */
  readonly flowControlWindow: number;
  /** Given: small messages may wait so long to be read together, see `GatheringSocket`. */
  readonly gatherMs?: number | undefined;
}

/**
 * HTTP/2 with an endpoint, for calls whose bytes are too many for grpc-js: it costs a third more CPU for each, and heap.
 * Rejects when `signal` aborts, when there is no connection, and when etcd isn't trusted, without saying why as well as
 * `openChannel` does.
 */
export async function openSession(
  route: SocketRoute,
  limits: SessionLimits,
  signal?: AbortSignal,
): Promise<ClientHttp2Session> {
  const inTime = AbortSignal.timeout(limits.connectTimeoutMs);
  const until = signal === undefined ? inTime : AbortSignal.any([signal, inTime]);
  const socket = await openSocket(route, limits.gatherMs, until).catch((error: unknown) => {
    if (!inTime.aborted) throw error;
    throw new Error(`no connection within ${limits.connectTimeoutMs} ms`, { cause: error });
  });
  const session = http2(route.endpoint.url, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: limits.flowControlWindow },
    // Megabytes; what waits to be read counts.
    maxSessionMemory: 2 * Math.ceil(limits.flowControlWindow / 1e6) + 8,
  });
  // Its calls end with it, and tell.
  session.on('error', () => undefined);
  session.once('connect', () => {
    session.setLocalWindowSize(limits.flowControlWindow);
  });
  return session;
}

async function openSocket(
  route: SocketRoute,
  gatherMs: number | undefined,
  signal: AbortSignal,
): Promise<Duplex> {
  const { host, port, secure } = route.endpoint;
  const socket =
    gatherMs === undefined
      ? tcp({ host, port, noDelay: true })
      : new GatheringSocket({ host, port, gatherMs });
  try {
    await once(socket, 'connect', { signal });
    if (!secure) return socket;
    const tls = startTls(socket, route);
    await once(tls, 'secureConnect', { signal });
    const distrust = distrustOf(tls, route);
    if (distrust !== undefined) throw new Error(distrust);
    return tls;
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

/**
 * Starts a call; its request is for the caller to write. `metadata`: names in lower case. `onData` gets the bytes of the
 * answer's messages, see `MessageCutter`.
 */
export function startCall(
  session: ClientHttp2Session,
  path: string,
  metadata: Readonly<Record<string, string>>,
  onData: (bytes: Buffer) => void,
): { readonly stream: ClientHttp2Stream; readonly end: Promise<CallEnd> } {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...metadata,
  });
  stream.on('data', onData);
  return { stream, end: endOf(stream) };
}

/** A message as gRPC frames it: not compressed. */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, 5);
  return bytes;
}

/** For the calls of a user that etcd knows; undefined where authentication is off. */
export function tokenMetadata(token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { token };
}

type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

function endOf(stream: ClientHttp2Stream): Promise<CallEnd> {
  return new Promise((resolve) => {
    let told: CallEnd | undefined;
    const listen = (headers: Headers): void => {
      told = statusIn(headers) ?? told;
    };
    stream.on('response', (headers) => {
      told = httpFailure(Number(headers[':status']));
      listen(headers);
    });
    stream.on('trailers', listen);
    stream.on('error', (error) => {
      resolve({ code: UNAVAILABLE, details: error.message });
    });
    // Not before all data was read.
    stream.on('end', () => {
      resolve(told ?? CUT);
    });
    stream.on('close', () => {
      resolve(CUT);
    });
  });
}

/** gRPC: the connection is the trouble. */
export const UNAVAILABLE = 14;
const CUT: CallEnd = { code: UNAVAILABLE, details: 'the connection was closed' };

function statusIn(headers: Headers): CallEnd | undefined {
  const code = headers['grpc-status'];
  if (code === undefined) return undefined;
  return { code: Number(code), details: percentDecoded(String(headers['grpc-message'] ?? '')) };
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What an HTTP status without one of gRPC means (grpc's doc/http-grpc-status-mapping.md). */
function httpFailure(status: number): CallEnd | undefined {
  if (status === 200) return undefined;
  return { code: CODES[status] ?? UNKNOWN, details: `HTTP status ${status}` };
}

const UNKNOWN = 2;
const CODES: Readonly<Record<number, number>> = {
  ...{ 400: 13, 401: 16, 403: 7, 404: 12 },
  ...{ 429: UNAVAILABLE, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: UNAVAILABLE },
};
