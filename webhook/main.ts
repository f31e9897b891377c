import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { auditLog } from '../lib/audit-log.ts';
import type { Clock } from '../lib/clock.ts';
import { connectKube } from '../lib/kubernetes/connect-kube.ts';
import { tenantEndpoints } from '../lib/kubernetes/rights/tenant-endpoints.ts';
import type { LogLines } from '../lib/log-lines.ts';
import { credentialFolder } from '../lib/pki/credential-folder.ts';
import { webhookTls } from '../lib/pki/mutual-tls.ts';
import { admissionHooks } from './hooks.ts';
import { listen } from './listen.ts';
import { webhookMetrics } from './metrics.ts';
import { statusPages } from './pages.ts';
import { requesterShares } from './requester-shares.ts';
import { servedCredentials } from './served-credentials.ts';
import type { WebhookSettings } from './settings.ts';

export interface WebhookTools {
  readonly log: LogLines;
  readonly clock: Clock;
  /** Aborts when the process is to stop. */
  readonly signal: AbortSignal;
  /** Tells where it listens, once it does. */
  readonly onListening?: (ports: { readonly hooks: number; readonly pages: number }) => void;
  /** How often the certificate is looked at. */
  readonly lookMs?: number;
}

/**
 * Answers the API server's questions until the signal aborts, and then those that are still on their way. Waits for its
 * certificate as long as there is none. Rejects with `admission.listen`, `settings.hosts`, `kubernetes.credentials`.
 */
export async function runWebhook(settings: WebhookSettings, tools: WebhookTools): Promise<void> {
  const { log, clock, signal } = tools;
  await using stack = new AsyncDisposableStack();
  // 1. What judging needs. Reviews are many and small: the client's own limits must not make them wait.
  const client = stack.use(
    await connectKube({
      kubeconfig: settings.kubeconfig,
      context: settings.kubeContext,
      ...{ component: 'webhook', perSecond: REVIEWS_PER_SECOND, burst: REVIEWS_PER_SECOND },
      timeoutMs: REVIEW_TIMEOUT_MS,
    }),
  );
  const counted = { inFlight: 0 };
  const metrics = webhookMetrics(() => counted.inFlight);
  const { maxInFlight, requesterQuestions: perSecond } = settings;
  const app = admissionHooks(
    {
      ...{ client, log, metrics, audit: auditLog(log), maxInFlight },
      shares: requesterShares({ perSecond, burst: 4 * perSecond, atOnce: Math.ceil(maxInFlight / 4) }),
      settings: {
        controlPlane: `system:serviceaccount:${settings.namespace}:${settings.controlPlane}`,
        tenantEndpoints: tenantEndpoints(settings.allowedEndpoints),
        veleroNamespace: settings.veleroNamespace,
      },
    },
    counted,
  );

  // 2. The pages, which say "not ready" until there is a certificate.
  const state: { hooks?: HttpsServer; port?: number; until?: Date } = {};
  const notReady = (): string | undefined => {
    if (signal.aborted) return 'stopping';
    if (state.port === undefined || state.until === undefined) return 'waiting for a certificate';
    return state.until < clock() ? `the certificate ended at ${state.until.toISOString()}` : undefined;
  };
  const pages = createHttpServer(PAGES_LIMITS, statusPages(metrics, notReady));
  const pagesPort = await listen(pages, settings.listenHost, settings.pagesPort);
  stack.defer(() => closed(pages));

  // 3. Serve with whatever certificate there is.
  const source = { folder: credentialFolder(settings.tlsFolder), clientCA: settings.clientCA };
  for await (const { credentials, clientCA } of servedCredentials(source, log, signal, tools.lookMs)) {
    state.until = credentials.certificate.validToDate;
    metrics.certificateUntil(state.until);
    log.write('info', 'certificate', `serving with a certificate until ${state.until.toISOString()}`, {
      until: state.until,
    });
    if (state.hooks !== undefined) {
      state.hooks.setSecureContext(webhookTls(credentials, clientCA));
      continue;
    }
    state.hooks = createHttpsServer({ ...webhookTls(credentials, clientCA), ...HOOK_LIMITS }, app);
    state.hooks.maxConnections = MOST_CONNECTIONS;
    state.port = await listen(state.hooks, settings.listenHost, settings.port);
    log.write('info', 'listening', `answering reviews on port ${state.port}, pages on port ${pagesPort}`);
    tools.onListening?.({ hooks: state.port, pages: pagesPort });
  }

  // 4. Stop: for a while API servers still ask here, since endpoints go round slowly; then finish what is begun.
  const { hooks } = state;
  if (hooks === undefined) return;
  log.write('info', 'stopping', `answering for ${settings.drainSeconds} s more`);
  await delay(settings.drainSeconds * 1000);
  await closed(hooks, FINISH_MS);
  log.write('info', 'stopped', 'stopped');
}

const REVIEWS_PER_SECOND = 10_000;
const REVIEW_TIMEOUT_MS = 8_000;
const MOST_CONNECTIONS = 1_024;
/** API servers keep idle connections for 90 s; whoever closes first must not be us, or requests are cut. */
const HOOK_LIMITS = {
  ...{ handshakeTimeout: 10_000, headersTimeout: 10_000, requestTimeout: 20_000 },
  keepAliveTimeout: 120_000,
};
const PAGES_LIMITS = { requestTimeout: 10_000, headersTimeout: 5_000 };
const FINISH_MS = 10_000;

/** Takes nothing new, lets what is begun end, and after `graceMs` cuts it. */
async function closed(server: HttpServer | HttpsServer, graceMs = 0): Promise<void> {
  const done = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => {
    server.closeAllConnections();
  }, graceMs);
  await done;
  clearTimeout(timer);
}
