import type { IncomingMessage } from 'node:http';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import {
  type Answer,
  AnswerTooLarge,
  type Exchange,
  type Exchanger,
  neverLeft,
  NoAnswer,
} from './http-exchange.ts';
import type { KubeAccess } from './kube-access.ts';
import { pause } from './pause.ts';
import type { RequestRate } from './request-rate.ts';
import { statusError } from './status-error.ts';

/** One call, as often as it takes. */
export interface ApiCall {
  /** For people, e.g. `get secret team-a/store`. */
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as JSON; bytes as they are. */
  readonly body?: object | undefined;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  readonly guard?: (() => void) | undefined;
  /** It may reach the server twice. */
  readonly repeatable: boolean;
}

export interface CallerParts {
  readonly access: KubeAccess;
  readonly exchanger: Exchanger;
  readonly rate: RequestRate;
  readonly userAgent: string;
  readonly timeoutMs: number;
  readonly largestAnswer: number;
  readonly random: () => number;
}

/** How often a call goes out at most when nobody answers, or with a server's error. */
const TRIES = 4;
/** And when the server asks to come back later. */
const BUSY_TRIES = 8;
const LONGEST_WAIT_MS = 30_000;

/** Resolves to the parsed JSON of a success; rejects as `KubeClient` says. */
export async function callApi(parts: CallerParts, call: ApiCall): Promise<unknown> {
  const answer = await untilAnswered(parts, call, (exchange, credentials) =>
    parts.exchanger.send(exchange, credentials, parts.largestAnswer),
  );
  return parse(call, answer.body);
}

/** Resolves to the stream of a success. */
export async function openStream(parts: CallerParts, call: ApiCall): Promise<IncomingMessage> {
  const opened = await untilAnswered(parts, call, async (exchange, credentials) => {
    const message = await parts.exchanger.open(exchange, credentials);
    const status = message.statusCode ?? 0;
    if (isSuccess(status)) return { status, headers: message.headers, body: Buffer.alloc(0), message };
    const chunks: Buffer[] = [];
    const late = setTimeout(() => {
      message.destroy(new NoAnswer(`the answer did not end within ${parts.timeoutMs} ms`));
    }, parts.timeoutMs);
    try {
      for await (const chunk of message as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        if (chunks.length > 100) break;
      }
    } finally {
      clearTimeout(late);
    }
    return { status, headers: message.headers, body: Buffer.concat(chunks), message };
  });
  return opened.message;
}

async function untilAnswered<T extends Answer>(
  parts: CallerParts,
  call: ApiCall,
  exchangeOnce: (
    exchange: Exchange,
    credentials: Awaited<ReturnType<KubeAccess['credentials']>>,
  ) => Promise<T>,
): Promise<T> {
  const { signal, guard } = call;
  const exchange: Exchange = {
    method: call.method,
    path: call.path,
    headers: headersOf(parts, call),
    body: bodyOf(call.body),
    signal,
    guard,
    timeoutMs: parts.timeoutMs,
  };
  let refused = false;
  for (let tries = 1; ; tries += 1) {
    await parts.rate.take(signal);
    guard?.();
    const credentials = await parts.access.credentials(refused);
    signal?.throwIfAborted();
    let error: GuardianError;
    let waitMs: number | undefined;
    try {
      const answer = await exchangeOnce(exchange, credentials);
      if (isSuccess(answer.status)) return answer;
      error = statusError(call.what, answer.status, parsed(answer.body));
      waitMs = waitAfter(answer, call, tries);
      // The first of them may be a token that was replaced a moment ago.
      if (answer.status === 401 && !refused) waitMs = 0;
      refused = answer.status === 401;
    } catch (failure) {
      signal?.throwIfAborted();
      if (failure instanceof GuardianError) throw failure;
      error = unreached(parts, call, failure);
      // A CA that was replaced.
      if (isDistrust(failure) && !refused) {
        refused = true;
        waitMs = 0;
      } else if (error.retryable && tries < TRIES && (call.repeatable || neverLeft(failure)))
        waitMs = pauseMs(tries);
    }
    if (waitMs === undefined) throw error;
    await pause(waitMs * (1 + 0.25 * parts.random()), signal);
  }
}

function bodyOf(body: object | undefined): Buffer | undefined {
  if (body === undefined || Buffer.isBuffer(body)) return body;
  return Buffer.from(JSON.stringify(body));
}

function headersOf(parts: CallerParts, call: ApiCall): Exchange['headers'] {
  return {
    accept: 'application/json',
    'user-agent': parts.userAgent,
    ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
    ...call.headers,
  };
}

/** How long to wait before the same call is made again; undefined: not at all. */
function waitAfter({ status, headers }: Answer, { repeatable }: ApiCall, tries: number): number | undefined {
  const asked = Number(headers['retry-after'] ?? Number.NaN) * 1000;
  const askedMs = Number.isFinite(asked) && asked >= 0 ? Math.min(asked, LONGEST_WAIT_MS) : undefined;
  // Turned away before anything was done.
  if (status === 429) return tries < BUSY_TRIES ? (askedMs ?? pauseMs(tries)) : undefined;
  if (status < 500 || !repeatable || tries >= TRIES) return undefined;
  return askedMs ?? pauseMs(tries);
}

function pauseMs(tries: number): number {
  return 100 * 3 ** (tries - 1);
}

function unreached(parts: CallerParts, call: ApiCall, failure: unknown): GuardianError {
  const where = `${call.what}: the API server ${parts.access.server}`;
  if (failure instanceof AnswerTooLarge)
    return new GuardianError('kubernetes.too-large', `${where}: ${failure.message}`, {
      hint: 'ask for less at once',
      cause: failure,
    });
  if (isDistrust(failure))
    return new GuardianError('kubernetes.unreachable', `${where} isn't trusted: ${reasonOf(failure)}`, {
      hint: 'its certificate must be valid, for this address, and from the CA of the kubeconfig or service account',
      cause: failure,
    });
  return new GuardianError('kubernetes.unreachable', `${where} can't be reached: ${reasonsOf(failure)}`, {
    hint: 'check that the API server runs and that the address in the kubeconfig is right',
    retryable: true,
    cause: failure,
  });
}

/** Several addresses of one name fail with several errors, and a message that says nothing. */
function reasonsOf(failure: unknown): string {
  if (!(failure instanceof AggregateError)) return reasonOf(failure);
  return failure.errors.map(reasonOf).join('; ');
}

function codeOf(failure: unknown): string {
  if (failure instanceof AggregateError) return codeOf(failure.errors[0]);
  return failure instanceof Error && 'code' in failure ? String(failure.code) : '';
}

function isDistrust(failure: unknown): boolean {
  return /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(codeOf(failure));
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function parse(call: ApiCall, body: Buffer): unknown {
  const value = parsed(body);
  if (value !== undefined) return value;
  throw new GuardianError('kubernetes.refused', `${call.what}: the answer is no JSON`, {
    hint: 'the address in the kubeconfig may lead to something else than an API server',
  });
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
