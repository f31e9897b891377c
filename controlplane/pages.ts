import express from 'express';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import type { ControlPlaneMetrics } from './metrics.ts';

export interface PagesTools {
  readonly metrics: ControlPlaneMetrics;
  /** Why this process should be restarted; undefined while it is well. */
  readonly unhealthy: () => string | undefined;
  /** Why agents can't be served here now; undefined when they can. */
  readonly unready: () => string | undefined;
}

export interface Pages extends AsyncDisposable {
  readonly port: number;
}

/** Serves `/healthz`, `/readyz` (200, or 503 with the reason) and `/metrics`. Rejects with `controlplane.listen`. */
export async function startPages(
  { metrics, unhealthy, unready }: PagesTools,
  at: { readonly host: string | undefined; readonly port: number },
): Promise<Pages> {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  const told = (why: () => string | undefined): express.RequestHandler => {
    return (_request, response) => {
      const reason = why();
      response
        .status(reason === undefined ? 200 : 503)
        .type('text/plain')
        .send(`${reason ?? 'ok'}\n`);
    };
  };
  app.get('/healthz', told(unhealthy));
  app.get('/readyz', told(unready));
  app.get('/metrics', async (_request, response) => {
    const { contentType, text } = await metrics.read();
    response.set('content-type', contentType).send(text);
  });
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('there are /healthz, /readyz and /metrics\n');
  });
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, app);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(at.port, at.host, () => {
    resolve(undefined);
  });
  try {
    await promise;
  } catch (error) {
    throw new GuardianError(
      'controlplane.listen',
      `can't listen on ${at.host ?? ''}:${at.port}: ${reasonOf(error)}`,
      { hint: 'Something else listens there: choose another port in the settings.', cause: error },
    );
  }
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}
