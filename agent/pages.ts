import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';

/** What the pages tell. */
export interface PageContents {
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Why no calls are answered; undefined: they are. */
  readonly notReady: () => string | undefined;
}

export interface Pages extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves `/healthz` (200 while this process works at all), `/readyz` (503 with the reason while it takes no calls) and
 * `/metrics`, in plain HTTP: none of them holds a secret. Rejects with `agent.port`.
 */
export async function servePages(host: string, port: number, contents: PageContents): Promise<Pages> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request, response, contents).catch((error: unknown) => {
      plain(response, 500, reasonOf(error));
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new GuardianError('agent.port', `can't listen on ${host}:${port}: ${error.message}`, {
          hint: 'Another process may have the port: choose another one (ETCDGUARDIAN_PAGES_PORT).',
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

const MOST_CONNECTIONS = 64;

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  contents: PageContents,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    plain(response, 405, 'only GET');
    return;
  }
  switch (request.url?.split('?', 1)[0]) {
    case '/healthz':
      plain(response, 200, 'ok');
      return;
    case '/readyz': {
      const why = contents.notReady();
      plain(response, why === undefined ? 200 : 503, why ?? 'ok');
      return;
    }
    case '/metrics': {
      const { contentType, text } = await contents.metrics();
      response.writeHead(200, { 'content-type': contentType }).end(text);
      return;
    }
    default:
      plain(response, 404, 'there are /healthz, /readyz and /metrics');
  }
}

function plain(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}
