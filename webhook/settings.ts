import { z } from 'zod';
import { LOG_FORMATS } from '../lib/log-lines.ts';
import {
  dnsName,
  list,
  port,
  readSettings,
  setting,
  type Settings,
  type SettingValues,
} from '../lib/process-settings.ts';

const count = z.coerce.number().int().min(1).max(100_000);
const seconds = z.coerce.number().min(0).max(600);

export const WEBHOOK_SETTINGS = {
  namespace: setting(
    'POD_NAMESPACE',
    '--namespace <name>',
    'our own namespace',
    dnsName.default('etcd-guardian-system'),
  ),
  kubeconfig: setting(
    'ETCDGUARDIAN_KUBECONFIG',
    '--kubeconfig <file>',
    'how to reach the API server (default: as a pod does, else KUBECONFIG or ~/.kube/config)',
    z.string().min(1).optional(),
  ),
  kubeContext: setting(
    'ETCDGUARDIAN_CONTEXT',
    '--context <name>',
    'the context of the kubeconfig',
    z.string().min(1).optional(),
  ),
  logFormat: setting(
    'ETCDGUARDIAN_LOG_FORMAT',
    '--log-format <format>',
    'json, or text for people',
    z.enum(LOG_FORMATS).default('json'),
  ),
  listenHost: setting(
    'ETCDGUARDIAN_LISTEN_HOST',
    '--listen-host <address>',
    'the address to listen on (default: all)',
    z.string().min(1).optional(),
  ),
  port: setting(
    'ETCDGUARDIAN_WEBHOOK_PORT',
    '--port <port>',
    'where the API server asks, over HTTPS',
    port.default(9443),
  ),
  pagesPort: setting(
    'ETCDGUARDIAN_PAGES_PORT',
    '--pages-port <port>',
    'where /healthz, /readyz and /metrics are',
    port.default(9644),
  ),
  tlsFolder: setting(
    'ETCDGUARDIAN_TLS_DIR',
    '--tls-dir <folder>',
    'the mounted Secret with tls.crt, tls.key and ca.crt; read again when it changes',
    z.string().min(1).default('/etc/etcdguardian/tls'),
  ),
  controlPlane: setting(
    'ETCDGUARDIAN_CONTROLPLANE_ACCOUNT',
    '--controlplane-account <name>',
    "the control plane's service account in our namespace, which alone writes status and runs of schedules",
    dnsName.default('etcdguardian-controlplane'),
  ),
  allowedEndpoints: setting(
    'ETCDGUARDIAN_ALLOWED_ENDPOINTS',
    '--allowed-endpoints <list>',
    'stores that tenants may name: names, *.example.com, addresses, networks; others need the right to back up the whole cluster',
    list.default([]),
  ),
  veleroNamespace: setting(
    'ETCDGUARDIAN_VELERO_NAMESPACE',
    '--velero-namespace <name>',
    'where Velero runs',
    dnsName.default('velero'),
  ),
  maxInFlight: setting(
    'ETCDGUARDIAN_MAX_IN_FLIGHT',
    '--max-in-flight <count>',
    'reviews that are judged at the same time; more are answered with "try again"',
    count.default(256),
  ),
  requesterQuestions: setting(
    'ETCDGUARDIAN_REQUESTER_QUESTIONS',
    '--requester-questions <count>',
    'questions per second that one requester may make the webhook ask the API server; after a quiet time four times as many at once. A backup of one namespace takes 8',
    count.default(500),
  ),
  clientCA: setting(
    'ETCDGUARDIAN_WEBHOOK_CLIENT_CA',
    '--client-ca <file>',
    'answer only clients with a certificate from this CA: API servers that are told to show one; read again when it changes',
    z.string().min(1).optional(),
  ),
  drainSeconds: setting(
    'ETCDGUARDIAN_DRAIN_SECONDS',
    '--drain-seconds <seconds>',
    'how long it still answers after it was told to stop, until nobody asks it any more',
    seconds.default(5),
  ),
} as const satisfies Settings;

export type SettingName = keyof typeof WEBHOOK_SETTINGS;
export type WebhookSettings = SettingValues<typeof WEBHOOK_SETTINGS>;

/** As `readSettings` does; throws `admission.settings`. */
export function webhookSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): WebhookSettings {
  return readSettings(WEBHOOK_SETTINGS, { command: 'webhook', code: 'admission.settings' }, env, flags);
}
