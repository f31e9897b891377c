import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { S3, S3ClientConfig } from '@aws-sdk/client-s3';
import type { NodeHttpHandler as Handler, NodeHttpHandlerOptions } from '@smithy/node-http-handler';
import type { Clock } from '../clock.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { credentialsProvider } from './s3-credentials.ts';
import { guardedAgents } from './network-rule.ts';
import { s3Error, type Telling } from './s3-errors.ts';
import type { S3Settings } from './s3-settings.ts';

/** What a call passes to the SDK, as its second argument. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Waits this long for the answer (of a get: for its beginning) however silent the connection is meanwhile. */
  readonly patienceMs?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;
const FREE_SOCKET_MS = 30_000;
/** The kernel takes megabytes of a body at once; on a slow line nothing moves for us until they have left. */
const SENDING_FACTOR = 3;
/** Marks calls that the handler must not watch; 0 also means "no timeout" to it. */
const UNWATCHED = 0;

/**
 * The SDK's client for one bucket, loaded and made at the first call: it costs 40 MB and a quarter second. It repeats
 * nothing by itself, and follows no redirects.
 */
export class S3Connection {
  readonly #settings: S3Settings;
  readonly #clock: Clock;
  #s3: Promise<S3> | undefined;

  constructor(settings: S3Settings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** A body being read that stays silent for this long is given up. */
  get idleTimeoutMs(): number {
    return this.#settings.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  }

  /** What errors may repeat of the server's words. */
  get telling(): Telling {
    return this.#settings.network?.publicOnly === true ? 'codes' : 'words';
  }

  /** Runs one call of the SDK; rejects with the contract's codes, `what` naming the thing. */
  async call<T>(
    what: string,
    send: (s3: S3, options: SendOptions) => Promise<T>,
    { signal, patienceMs }: CallOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const late = new AbortController();
    const timer =
      patienceMs === undefined
        ? undefined
        : setTimeout(() => {
            late.abort(unanswered(what, patienceMs));
          }, patienceMs);
    const abortSignal = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    try {
      const s3 = await this.#connected();
      return await send(
        s3,
        patienceMs === undefined ? { abortSignal } : { abortSignal, requestTimeout: UNWATCHED },
      );
    } catch (error) {
      abortSignal.throwIfAborted();
      throw s3Error(error, what, this.telling);
    } finally {
      clearTimeout(timer);
    }
  }

  async #connected(): Promise<S3> {
    const opening = (this.#s3 ??= openClient(this.#settings, this.#clock));
    try {
      return await opening;
    } catch (error) {
      if (this.#s3 === opening) this.#s3 = undefined;
      throw error;
    }
  }
}

async function openClient(settings: S3Settings, clock: Clock): Promise<S3> {
  const [{ S3 }, { NodeHttpHandler }, ca] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@smithy/node-http-handler'),
    readCa(settings),
  ]);
  const config: S3ClientConfig = {
    credentials: credentialsProvider(settings.credentials ?? { kind: 'environment' }, clock),
    maxAttempts: 1,
    followRegionRedirects: false,
    // The parts carry a checksum that we compute; servers older than the SDK's default choke on it elsewhere.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The SDK would open a connection for each part.
    expectContinueHeader: false,
    forcePathStyle: settings.pathStyle ?? settings.endpoint !== undefined,
    requestHandler: requestHandler(settings, ca, NodeHttpHandler),
  };
  const region = settings.region ?? (settings.endpoint === undefined ? undefined : 'us-east-1');
  if (region !== undefined) config.region = region;
  if (settings.endpoint !== undefined) config.endpoint = settings.endpoint;
  const s3 = new S3(config);
  if (!signsPayload(settings)) leavePayloadUnsigned(s3);
  return s3;
}

async function readCa(settings: S3Settings): Promise<string | undefined> {
  if (settings.ca === undefined) return undefined;
  if ('pem' in settings.ca) return settings.ca.pem;
  try {
    return await readFile(settings.ca.file, 'utf8');
  } catch (error) {
    throw new GuardianError('store.settings', `the CA file of s3://${settings.bucket}: ${reasonOf(error)}`, {
      cause: error,
      hint: 'Give the path of a readable PEM file.',
    });
  }
}

/**
 * Gives up connections on which nothing moves, but for calls that ask for patience: there the server may work in
 * silence (putting parts together), or the reader may be slow.
 */
function requestHandler(settings: S3Settings, ca: string | undefined, NodeHandler: typeof Handler): Handler {
  const agent = { keepAlive: true, timeout: FREE_SOCKET_MS };
  const secureAgent = ca === undefined ? agent : { ...agent, ca };
  const agents =
    settings.network === undefined
      ? { http: new HttpAgent(agent), https: new HttpsAgent(secureAgent) }
      : guardedAgents(settings.network, { http: agent, https: secureAgent });
  const options: NodeHttpHandlerOptions = {
    connectionTimeout: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...{ httpAgent: agents.http, httpsAgent: agents.https },
  };
  const idleTimeoutMs = settings.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  const patient = new NodeHandler({ ...options, socketTimeout: 0 });
  const sending = new NodeHandler({ ...options, socketTimeout: SENDING_FACTOR * idleTimeoutMs });
  class WatchingHandler extends NodeHandler {
    override handle(...[request, sendOptions]: Parameters<Handler['handle']>): ReturnType<Handler['handle']> {
      if (sendOptions?.requestTimeout === UNWATCHED) return patient.handle(request, sendOptions);
      return hasBytes(request) ? sending.handle(request, sendOptions) : super.handle(request, sendOptions);
    }
  }
  return new WatchingHandler({ ...options, socketTimeout: idleTimeoutMs });
}

/** TLS, or the machine itself, keeps others from changing bytes on their way; else the signature has to. */
function signsPayload(settings: S3Settings): boolean {
  if (settings.signPayload !== undefined) return settings.signPayload;
  if (settings.endpoint === undefined) return false;
  const { protocol, hostname } = new URL(settings.endpoint);
  return protocol !== 'https:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** SigV4 then covers the headers, the checksum of the bytes among them, instead of the bytes' SHA-256. */
function leavePayloadUnsigned(s3: S3): void {
  s3.middlewareStack.add(
    (next) => (call) => {
      if (hasBytes(call.request)) call.request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(call);
    },
    { step: 'build', name: 'leavePayloadUnsigned' },
  );
}

function hasBytes(request: unknown): request is { body: Uint8Array; headers: Record<string, string> } {
  if (typeof request !== 'object' || request === null || !('headers' in request)) return false;
  return 'body' in request && request.body instanceof Uint8Array && request.body.length > 0;
}

function unanswered(what: string, patienceMs: number): GuardianError {
  return new GuardianError('store.unreachable', `${what}: no answer within ${patienceMs / 1000} s`, {
    retryable: true,
    hint: 'Check the endpoint and the network to it.',
  });
}
