import { createHash } from 'node:crypto';
import {
  Agent as PlainAgent,
  type ClientRequest,
  type IncomingMessage,
  request as plainRequest,
} from 'node:http';
import { Agent, request, type RequestOptions } from 'node:https';
import type { KubeCredentials, KubeTls } from './kube-access.ts';

/** One HTTP request to the API server. */
export interface Exchange {
  readonly method: string;
  /** Path and query below the server's URL. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Bytes: Node would write the headers of a text in the text's encoding, not theirs. */
  readonly body?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Until the answer's head is there; for `send` until its end. */
  readonly timeoutMs: number;
  /** Called in the very moment that it goes out: if this throws, nothing is sent. */
  readonly guard?: (() => void) | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** The connections to one API server. Follows no redirects. Rejects with the system's error, or the signal's reason. */
export interface Exchanger {
  /** Resolves to the whole answer. Rejects with `AnswerTooLarge` where it is. */
  send(exchange: Exchange, credentials: KubeCredentials, largest: number): Promise<Answer>;
  /** Resolves when the answer begins, on a connection of its own, which whoever called destroys. */
  open(exchange: Exchange, credentials: KubeCredentials): Promise<IncomingMessage>;
  /** Closes all connections; what is under way fails. */
  close(): void;
}

export class AnswerTooLarge extends Error {}
/** No connection within the time, or no answer. */
export class NoAnswer extends Error {}

/** Whether a failed exchange ended before anything of it was sent: whatever it asks for, it may be tried again. */
export function neverLeft(failure: unknown): boolean {
  return typeof failure === 'object' && failure !== null && unsent.has(failure);
}

const unsent = new WeakSet<object>();

const CONNECT_MS = 10_000;
/** Node's own, with a second between the probes: who doesn't answer is found gone after about 40 s. */
const KEEP_ALIVE_MS = 30_000;
/** API servers close connections that were idle for 90 s; ours go before, so that no request meets a closing one. */
const IDLE_MS = 60_000;
const MOST_CONNECTIONS = 64;

export function createExchanger(server: string): Exchanger {
  const base = new URL(server);
  const isPlain = base.protocol === 'http:';
  const place = {
    host: base.hostname.replace(/^\[|\]$/g, ''),
    port: base.port === '' ? (isPlain ? 80 : 443) : Number(base.port),
  };
  const root = base.pathname.replace(/\/$/, '');
  const opened = new Set<IncomingMessage>();
  let agents: { readonly key: string; readonly agent: Agent | PlainAgent } | undefined;
  let retired: (Agent | PlainAgent)[] = [];
  const agentFor = (tls: KubeTls): Agent | PlainAgent => {
    const key = keyOf(tls);
    if (agents?.key === key) return agents.agent;
    if (agents !== undefined) retired = [...retired.filter(isBusy), agents.agent];
    for (const agent of retired) closeIdle(agent);
    agents = { key, agent: newAgent(tls, isPlain) };
    return agents.agent;
  };

  const begin = async (
    exchange: Exchange,
    credentials: KubeCredentials,
    agent: Agent | PlainAgent,
    whole: boolean,
  ): Promise<{ answer: IncomingMessage; done: () => void }> => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    exchange.signal?.throwIfAborted();
    const { method, path, headers, body, signal, timeoutMs } = exchange;
    const length = body === undefined ? {} : { 'content-length': body.length };
    const options: RequestOptions = {
      ...place,
      method,
      path: root + path,
      headers: { ...credentials.headers, ...mutable(headers), ...length },
      agent,
    };
    const sent = isPlain ? plainRequest(options) : request(options);
    const way = { hasLeft: false };
    const fail = (error: Error): void => {
      sent.destroy(error);
      reject(error);
    };
    const abort = (): void => {
      fail(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)));
    };
    const late = setTimeout(() => {
      fail(new NoAnswer(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const done = (): void => {
      clearTimeout(late);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    sent.once('response', resolve);
    sent.on('error', reject);
    whenConnected(sent, isPlain, fail, () => {
      try {
        exchange.guard?.();
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      way.hasLeft = true;
      sent.end(body);
    });
    try {
      const answer = await promise;
      if (!whole) clearTimeout(late);
      return { answer, done };
    } catch (error) {
      done();
      signal?.throwIfAborted();
      if (!way.hasLeft && typeof error === 'object' && error !== null) unsent.add(error);
      throw error;
    }
  };

  return {
    async send(exchange, credentials, largest) {
      const { answer, done } = await begin(
        exchange,
        credentials,
        credentials.agent ?? agentFor(credentials.tls),
        true,
      );
      try {
        return {
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: await readBody(answer, largest),
        };
      } catch (error) {
        exchange.signal?.throwIfAborted();
        throw error;
      } finally {
        done();
      }
    },
    async open(exchange, credentials) {
      const agent = credentials.agent ?? newAgent(credentials.tls, isPlain);
      const { answer, done } = await begin(exchange, credentials, agent, false);
      opened.add(answer);
      answer.once('close', () => {
        opened.delete(answer);
        done();
        if (agent !== credentials.agent) agent.destroy();
      });
      return answer;
    },
    close() {
      for (const agent of [...retired, ...(agents === undefined ? [] : [agents.agent])]) agent.destroy();
      for (const answer of opened) answer.destroy();
      agents = undefined;
      retired = [];
    },
  };
}

function newAgent(tls: KubeTls, isPlain: boolean): Agent | PlainAgent {
  const options = {
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    timeout: IDLE_MS,
    maxSockets: MOST_CONNECTIONS,
  };
  return isPlain ? new PlainAgent(options) : new Agent({ ...options, ...tls, minVersion: 'TLSv1.2' });
}

/** Connections that stand. Node doesn't call one reused that goes straight from one request to another that waited. */
const standing = new WeakSet<object>();

/** `go` is called when bytes can leave at once, so that nothing waits in a queue meanwhile. */
function whenConnected(
  sent: ClientRequest,
  isPlain: boolean,
  fail: (error: Error) => void,
  go: () => void,
): void {
  sent.once('socket', (socket) => {
    if (!socket.connecting && (sent.reusedSocket || standing.has(socket))) {
      go();
      return;
    }
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const late = setTimeout(() => {
      fail(new NoAnswer(`no connection within ${CONNECT_MS} ms`));
    }, CONNECT_MS);
    socket.once('close', () => {
      clearTimeout(late);
    });
    socket.once(isPlain ? 'connect' : 'secureConnect', () => {
      clearTimeout(late);
      standing.add(socket);
      go();
    });
  });
}

/** By events: iterating costs as much as all the rest of a small answer. */
async function readBody(answer: IncomingMessage, largest: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  answer.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > largest) answer.destroy(new AnswerTooLarge(`the answer is larger than ${largest} bytes`));
    else chunks.push(chunk);
  });
  answer.once('end', () => {
    resolve(Buffer.concat(chunks));
  });
  answer.once('error', reject);
  answer.once('close', () => {
    if (!answer.complete) reject(new NoAnswer('the answer ended too early'));
  });
  return await promise;
}

/** Whoever logs in gets the same object until something changes. */
const keys = new WeakMap<KubeTls, string>();

function keyOf(tls: KubeTls): string {
  const known = keys.get(tls);
  if (known !== undefined) return known;
  const key = hashOf(tls);
  keys.set(tls, key);
  return key;
}

function hashOf(tls: KubeTls): string {
  const hash = createHash('sha256');
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)])
    hash.update(part ?? '').update('\0');
  return hash.digest('hex');
}

function isBusy(agent: Agent | PlainAgent): boolean {
  return Object.keys(agent.sockets).length > 0;
}

/** What is under way may end. */
function closeIdle(agent: Agent | PlainAgent): void {
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
}

function mutable(headers: Exchange['headers']): Record<string, string | string[]> {
  const copy: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers))
    copy[name] = typeof value === 'string' ? value : [...value];
  return copy;
}
