import express, { type NextFunction, type Request, type Response } from 'express';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { errorFields, type LogLines } from '../../lib/log-lines.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { enrolAgent, type EnrolmentTools } from './enrol-agent.ts';
import { EnrolmentBusy, senderLimit } from './sender-limit.ts';

export interface EnrolmentServer extends AsyncDisposable {
  readonly port: number;
}

export interface EnrolmentServerTools extends Omit<EnrolmentTools, 'issues'> {
  readonly log: LogLines;
}

const BODY_LIMIT = '16kb';
/** How often the own certificate is looked at: it is renewed days before its end. */
const LOOK_MS = 60_000;

/**
 * Serves `POST /enrol` over TLS 1.3 with our own certificate, which is exchanged while it serves. Needs the authority to
 * be known. Rejects with `controlplane.listen`.
 */
export async function startEnrolmentServer(
  tools: EnrolmentServerTools,
  at: { readonly host: string | undefined; readonly port: number },
): Promise<EnrolmentServer> {
  const { keeper, log } = tools;
  const ending = new AbortController();
  let shown = await keeper.current();
  const server = createServer(
    {
      ...tlsOf(shown),
      ...{
        handshakeTimeout: 10_000,
        headersTimeout: 10_000,
        requestTimeout: 20_000,
        keepAliveTimeout: 5_000,
      },
    },
    enrolmentApp(tools, ending.signal),
  );
  server.maxConnections = 1_000;
  // Whoever breaks off a handshake is no concern of ours.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const reload = async (): Promise<void> => {
    try {
      const current = await keeper.current();
      if (current !== shown) server.setSecureContext(tlsOf(current));
      shown = current;
    } catch (error) {
      log.write(
        'error',
        'enrolment-certificate',
        `the old certificate stays: ${reasonOf(error)}`,
        errorFields(error),
      );
    }
  };
  await listening(server, at.host, at.port);
  const timer = setInterval(() => void reload(), LOOK_MS);
  const forget = keeper.onChange(() => void reload());
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      forget();
      ending.abort(new GuardianError('controlplane.ending', 'the control plane ends', { retryable: true }));
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      setTimeout(() => {
        server.closeAllConnections();
      }, 2_000).unref();
      await closed;
    },
  };
}

function tlsOf({ cert, key }: Credentials) {
  return { cert, key, minVersion: 'TLSv1.3' } as const;
}

function enrolmentApp(tools: EnrolmentServerTools, ending: AbortSignal): express.Express {
  // The API server is asked for each token: what strangers can make us ask is bounded, in sum and each.
  const all = senderLimit('all agents', 30, 120);
  const senders = senderLimit('this address', 1, 20);
  const issues = senderLimit('this pod', 1 / 30, 10);
  const app = express();
  app.disable('x-powered-by').disable('etag').set('trust proxy', false);
  app.use((request, _response, next) => {
    senders.take(request.socket.remoteAddress ?? '');
    all.take('');
    next();
  });
  app.post(
    '/enrol',
    express.json({ limit: BODY_LIMIT, strict: true, inflate: false }),
    async (request, response) => {
      const from = request.socket.remoteAddress ?? 'nowhere';
      const left = new AbortController();
      response.once('close', () => {
        left.abort(
          new GuardianError('controlplane.enrolment-left', 'the agent hung up', { retryable: true }),
        );
      });
      const signal = AbortSignal.any([ending, left.signal, AbortSignal.timeout(15_000)]);
      response
        .set('cache-control', 'no-store')
        .json(await enrolAgent({ ...tools, issues }, request.body, from, signal));
    },
  );
  app.use((_request, response) => {
    response
      .status(404)
      .json(problem(new GuardianError('controlplane.enrolment-request', 'there is POST /enrol')));
  });
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const told = toldError(error, tools.log);
    if (told instanceof EnrolmentBusy) response.set('retry-after', String(told.waitSeconds));
    response.set('connection', 'close').status(statusOf(told)).json(problem(told));
  });
  return app;
}

/** What the sender may know: our own refusals, and that something else failed. */
function toldError(error: unknown, log: LogLines): GuardianError {
  if (error instanceof GuardianError) return error;
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  if (status === 413) {
    return new GuardianError('controlplane.enrolment-too-large', `the request is larger than ${BODY_LIMIT}`);
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new GuardianError(
      'controlplane.enrolment-request',
      `the request can't be read: ${reasonOf(error)}`,
    );
  }
  const fields = { error: reasonOf(error), stack: error instanceof Error ? error.stack : undefined };
  log.write('error', 'enrolment-failed', `enrolment failed: ${reasonOf(error)}`, fields);
  return new GuardianError('controlplane.enrolment-failed', 'the control plane failed; its log says more', {
    retryable: true,
  });
}

function statusOf({ code, retryable }: GuardianError): number {
  return STATUS_OF_CODE.get(code) ?? (retryable ? 503 : 500);
}

const STATUS_OF_CODE = new Map([
  ['controlplane.enrolment-request', 400],
  ['pki.request', 400],
  ['pki.key', 400],
  ['controlplane.enrolment-token', 401],
  ['controlplane.enrolment-denied', 403],
  ['pki.name', 403],
  ['controlplane.enrolment-too-large', 413],
  ['controlplane.enrolment-busy', 429],
  ['kubernetes.forbidden', 503],
]);

function problem({ code, message, hint, retryable }: GuardianError): object {
  return { code, message, hint, retryable };
}

async function listening(server: Server, host: string | undefined, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, host, () => {
    resolve(undefined);
  });
  try {
    await promise;
    server.removeListener('error', reject);
  } catch (error) {
    throw new GuardianError(
      'controlplane.listen',
      `can't listen on ${host ?? ''}:${port}: ${reasonOf(error)}`,
      {
        hint: 'Something else listens there: choose another port in the settings.',
        cause: error,
      },
    );
  }
}
