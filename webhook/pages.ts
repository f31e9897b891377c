import express, { type Express } from 'express';
import type { WebhookMetrics } from './metrics.ts';

/** `/healthz` for as long as the process answers, `/readyz` while reviews should come here, `/metrics`. */
export function statusPages(metrics: WebhookMetrics, notReady: () => string | undefined): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.get('/healthz', (_request, response) => {
    response.type('text').send('ok\n');
  });
  app.get('/readyz', (_request, response) => {
    const why = notReady();
    response
      .status(why === undefined ? 200 : 503)
      .type('text')
      .send(`${why ?? 'ok'}\n`);
  });
  app.get('/metrics', async (_request, response) => {
    const { contentType, text } = await metrics.read();
    response.type(contentType).send(text);
  });
  return app;
}
