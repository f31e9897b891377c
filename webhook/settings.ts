import { z } from 'zod';
import { GuardianError } from '../lib/guardian-error.ts';
import { LOG_FORMATS } from '../lib/log-lines.ts';

/** One setting: its environment variable, its flag of `etcdguardian webhook`, and what it may be. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  readonly env: string;
  /** `--name <placeholder>`. */
  readonly flag: string;
  readonly help: string;
  readonly schema: S;
}

const dnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be a name as Kubernetes has them: a-z, 0-9, "-" and "."');
const port = z.coerce.number().int().min(0).max(65_535);
const count = z.coerce.number().int().min(1).max(100_000);
const seconds = z.coerce.number().min(0).max(600);
const list = z.string().transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== ''));

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
  drainSeconds: setting(
    'ETCDGUARDIAN_DRAIN_SECONDS',
    '--drain-seconds <seconds>',
    'how long it still answers after it was told to stop, until nobody asks it any more',
    seconds.default(5),
  ),
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof WEBHOOK_SETTINGS;
export type WebhookSettings = Readonly<z.output<typeof SCHEMA>>;

/**
 * Read once, at the process's start: `flags` win over the environment. An empty variable counts as none. Throws
 * `admission.settings`, which names every setting that is wrong.
 */
export function webhookSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): WebhookSettings {
  const names = Object.keys(WEBHOOK_SETTINGS) as SettingName[];
  const given = names.flatMap((name) => {
    const text = flags[name] ?? env[WEBHOOK_SETTINGS[name].env];
    return text === undefined || text === '' ? [] : [[name, text] as const];
  });
  const parsed = SCHEMA.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path: [name], message }) => {
    const known = names.find((one) => one === name);
    return `${known === undefined ? String(name) : WEBHOOK_SETTINGS[known].env}: ${message}`;
  });
  throw new GuardianError('admission.settings', problems.join('; '), {
    hint: 'Correct them in the chart’s values or on the command line; `etcdguardian webhook --help` lists them.',
  });
}

function setting<S extends z.ZodType>(env: string, flag: string, help: string, schema: S): Setting<S> {
  return { env, flag, help, schema };
}

type Shape = { readonly [K in SettingName]: (typeof WEBHOOK_SETTINGS)[K]['schema'] };

const SCHEMA = z.object(
  Object.fromEntries(Object.entries(WEBHOOK_SETTINGS).map(([name, { schema }]) => [name, schema])) as Shape,
);
