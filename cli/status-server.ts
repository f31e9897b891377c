import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';

export interface ListenAddress {
  /** Undefined: every address. */
  readonly host: string | undefined;
  readonly port: number;
}

/** What a long-running command shows of itself. */
export interface StatusPages {
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Undefined while all is well; else why not. */
  readonly unhealthy: () => string | undefined;
}

export interface StatusServer extends AsyncDisposable {
  /** Where it listens, e.g. `http://127.0.0.1:9479`. */
  readonly url: string;
}

/** Serves `/metrics` and `/healthz` (200, or 503 with the reason). Rejects with `capture.listen`. */
export async function startStatusServer(
  { host, port }: ListenAddress,
  pages: StatusPages,
): Promise<StatusServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    void answer(request, response, pages);
  });
  await listen(server, host, port);
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** `127.0.0.1:9479`, `[::1]:9479`, `:9479` for every address. Port 0 takes a free one. */
export function parseListenAddress(text: string, option: string): ListenAddress {
  const [whole, bracketed, plainHost, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:]*)):(\d{1,5})$/.exec(text) ?? [];
  if (whole === undefined || Number(port) > 65_535) {
    throw new GuardianError('usage.listen', `${option}: "${text}" is not HOST:PORT`, {
      hint: 'write it like 127.0.0.1:9479, [::1]:9479, or :9479 for every address',
    });
  }
  const host = bracketed ?? plainHost;
  return { host: host === '' ? undefined : host, port: Number(port) };
}

async function listen(server: Server, host: string | undefined, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, host, () => {
    resolve(undefined);
  });
  try {
    await promise;
  } catch (error) {
    throw new GuardianError('capture.listen', `can't listen on ${host ?? ''}:${port}: ${reasonOf(error)}`, {
      hint: 'Choose another address with --listen, or stop what listens there; is a capture running already?',
      cause: error,
    });
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, pages: StatusPages): Promise<void> {
  const plain = (status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    plain(405, 'only GET');
    return;
  }
  switch (request.url?.split('?', 1)[0]) {
    case '/metrics': {
      const { contentType, text } = await pages.metrics();
      response.writeHead(200, { 'content-type': contentType }).end(text);
      return;
    }
    case '/healthz': {
      const why = pages.unhealthy();
      plain(why === undefined ? 200 : 503, why ?? 'ok');
      return;
    }
    default:
      plain(404, 'there are /metrics and /healthz');
  }
}
