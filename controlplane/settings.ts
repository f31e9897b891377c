import { z } from 'zod';
import { GuardianError } from '../lib/guardian-error.ts';
import { LOG_FORMATS } from '../lib/log-lines.ts';

/** One setting: its environment variable, its flag of `etcdguardian controlplane`, and what it may be. */
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
const path = z.string().min(1);
const list = z.string().transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== ''));

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `1h30m`, `7d`; becomes milliseconds. */
const duration = z
  .string()
  .regex(/^(\d+(ms|s|m|h|d))+$/, 'must be a duration like 90s, 15m, 1h30m or 7d')
  .transform((text) =>
    [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)].reduce(
      (sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit] ?? Number.NaN),
      0,
    ),
  );

/** Everything that can be set. Whoever adds a controller adds what it needs here. */
export const CONTROL_PLANE_SETTINGS = {
  namespace: setting(
    'POD_NAMESPACE',
    '--namespace <name>',
    'our own namespace',
    dnsName.default('etcd-guardian-system'),
  ),
  podName: setting(
    'POD_NAME',
    '--pod-name <name>',
    'the name of this pod, for the Lease and for Events',
    dnsName.optional(),
  ),
  podUid: setting('POD_UID', '--pod-uid <uid>', 'the uid of this pod', z.string().optional()),
  kubeconfig: setting(
    'ETCDGUARDIAN_KUBECONFIG',
    '--kubeconfig <file>',
    'how to reach the API server (default: as a pod does, else KUBECONFIG or ~/.kube/config)',
    path.optional(),
  ),
  kubeContext: setting(
    'ETCDGUARDIAN_CONTEXT',
    '--context <name>',
    'the context of the kubeconfig',
    z.string().optional(),
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
    z.string().optional(),
  ),
  enrolmentPort: setting(
    'ETCDGUARDIAN_ENROLMENT_PORT',
    '--enrolment-port <port>',
    'where agents enrol, over HTTPS',
    port.default(9641),
  ),
  pagesPort: setting(
    'ETCDGUARDIAN_PAGES_PORT',
    '--pages-port <port>',
    'where /healthz, /readyz and /metrics are',
    port.default(9643),
  ),
  service: setting(
    'ETCDGUARDIAN_SERVICE',
    '--service <name>',
    'our Service, which agents enrol at',
    dnsName.default('etcdguardian-controlplane'),
  ),
  webhookService: setting(
    'ETCDGUARDIAN_WEBHOOK_SERVICE',
    '--webhook-service <name>',
    'the Service of the admission webhook',
    dnsName.default('etcdguardian-webhook'),
  ),

  lease: setting(
    'ETCDGUARDIAN_LEASE',
    '--lease <name>',
    'the Lease of the replica that leads',
    dnsName.default('etcdguardian-controlplane'),
  ),
  leaseDurationMs: setting(
    'ETCDGUARDIAN_LEASE_DURATION',
    '--lease-duration <duration>',
    'how long a silent leader keeps the Lease',
    duration.default(15_000),
  ),
  renewDeadlineMs: setting(
    'ETCDGUARDIAN_RENEW_DEADLINE',
    '--renew-deadline <duration>',
    'after so long without renewing it, a leader stops',
    duration.default(10_000),
  ),
  retryPeriodMs: setting(
    'ETCDGUARDIAN_RETRY_PERIOD',
    '--retry-period <duration>',
    'how often the Lease is tried',
    duration.default(2_000),
  ),

  authoritySecret: setting(
    'ETCDGUARDIAN_AUTHORITY_SECRET',
    '--authority-secret <name>',
    'the Secret of our certificate authority',
    dnsName.default('etcdguardian-authority'),
  ),
  webhookTlsSecret: setting(
    'ETCDGUARDIAN_WEBHOOK_TLS_SECRET',
    '--webhook-tls-secret <name>',
    "the Secret of the webhook's serving certificate",
    dnsName.default('etcdguardian-webhook-tls'),
  ),
  signingSecret: setting(
    'ETCDGUARDIAN_SIGNING_SECRET',
    '--signing-secret <name>',
    'the Secret of the keys that sign backups',
    dnsName.default('etcdguardian-signing'),
  ),
  trustConfigMap: setting(
    'ETCDGUARDIAN_TRUST_CONFIGMAP',
    '--trust-configmap <name>',
    'the ConfigMap that says whom to trust',
    dnsName.default('etcdguardian-trust'),
  ),
  webhookConfigurations: setting(
    'ETCDGUARDIAN_WEBHOOK_CONFIGURATIONS',
    '--webhook-configurations <selector>',
    'labels of the webhook configurations whose caBundle is ours to keep',
    z.string().min(1).default('app.kubernetes.io/name=etcdguardian'),
  ),

  admission: setting(
    'ETCDGUARDIAN_ADMISSION',
    '--admission <on|off>',
    'off: neither the webhook nor its policies are registered, so that anybody may write anything into requestedBy; then only resources of our own namespace are worked on',
    z.enum(['on', 'off']).default('on'),
  ),

  agentSelector: setting(
    'ETCDGUARDIAN_AGENT_SELECTOR',
    '--agent-selector <selector>',
    "labels of the agents' pods",
    z.string().min(1).default('app.kubernetes.io/name=etcdguardian,app.kubernetes.io/component=agent'),
  ),
  agentDaemonSet: setting(
    'ETCDGUARDIAN_AGENT_DAEMONSET',
    '--agent-daemonset <name>',
    "the agents' DaemonSet",
    dnsName.default('etcdguardian-agent'),
  ),
  agentServiceAccount: setting(
    'ETCDGUARDIAN_AGENT_SERVICE_ACCOUNT',
    '--agent-service-account <name>',
    "the agents' service account",
    dnsName.default('etcdguardian-agent'),
  ),
  agentPort: setting(
    'ETCDGUARDIAN_AGENT_PORT',
    '--agent-port <port>',
    'the gRPC port of agents',
    port.default(9640),
  ),
  agentPollMs: setting(
    'ETCDGUARDIAN_AGENT_POLL',
    '--agent-poll <duration>',
    'how often agents are asked what they see',
    duration.default(30_000),
  ),
  enrolmentAudience: setting(
    'ETCDGUARDIAN_ENROLMENT_AUDIENCE',
    '--enrolment-audience <name>',
    'the audience of tokens that agents enrol with',
    z.string().min(1).default('etcdguardian-enrolment'),
  ),

  allowedEndpoints: setting(
    'ETCDGUARDIAN_ALLOWED_ENDPOINTS',
    '--allowed-endpoints <list>',
    "addresses (CIDR) and host names of stores that tenants' resources may name besides public ones",
    list.default([]),
  ),
  etcdPrefix: setting(
    'ETCDGUARDIAN_ETCD_PREFIX',
    '--etcd-prefix <prefix>',
    'what API servers put before their keys in etcd, as their --etcd-prefix says',
    z
      .string()
      .regex(/^(\/[A-Za-z0-9._-]+)+$/, 'must begin with a slash, like /registry')
      .default('/registry'),
  ),
  hooks: setting(
    'ETCDGUARDIAN_HOOKS',
    '--hooks <true|false>',
    'whether hooks of EtcdBackups and EtcdRestores may run on nodes',
    z.stringbool().default(false),
  ),
  externalBackups: setting(
    'ETCDGUARDIAN_EXTERNAL_BACKUPS',
    '--external-backups <count>',
    'backups of etcd without an agent that run in this process at a time',
    z.coerce.number().int().min(1).default(1),
  ),
  spoolDir: setting(
    'ETCDGUARDIAN_SPOOL_DIR',
    '--spool-dir <folder>',
    'where those wait for a slow store',
    path.default('/var/cache/etcdguardian'),
  ),
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof CONTROL_PLANE_SETTINGS;
export type ControlPlaneSettings = Readonly<z.output<typeof SCHEMA>>;

/**
 * Read once, at the process's start: `flags` win over the environment. An empty variable counts as none. Throws
 * `controlplane.settings`, which names every setting that is wrong.
 */
export function controlPlaneSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): ControlPlaneSettings {
  const names = Object.keys(CONTROL_PLANE_SETTINGS) as SettingName[];
  const given = Object.fromEntries(
    names.flatMap((name) => {
      const text = flags[name] ?? env[CONTROL_PLANE_SETTINGS[name].env];
      return text === undefined || text === '' ? [] : [[name, text]];
    }),
  );
  const parsed = SCHEMA.safeParse(given);
  if (!parsed.success) throw wrong(parsed.error);
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = parsed.data;
  if (renewDeadlineMs >= leaseDurationMs || retryPeriodMs >= renewDeadlineMs) {
    throw new GuardianError(
      'controlplane.settings',
      `retry period (${retryPeriodMs} ms), renew deadline (${renewDeadlineMs} ms) and lease duration (${leaseDurationMs} ms) don't follow each other`,
      { hint: 'Each must be shorter than the next: a leader stops before another can take its place.' },
    );
  }
  return parsed.data;
}

function setting<S extends z.ZodType>(env: string, flag: string, help: string, schema: S): Setting<S> {
  return { env, flag, help, schema };
}

type Shape = { readonly [K in SettingName]: (typeof CONTROL_PLANE_SETTINGS)[K]['schema'] };

const SCHEMA = z.object(
  Object.fromEntries(
    Object.entries(CONTROL_PLANE_SETTINGS).map(([name, { schema }]) => [name, schema]),
  ) as Shape,
);

function wrong(error: z.ZodError): GuardianError {
  const problems = error.issues.map(({ path: [name], message }) => {
    const known = Object.entries(CONTROL_PLANE_SETTINGS).find(([key]) => key === name)?.[1];
    return `${known?.env ?? String(name)}: ${message}`;
  });
  return new GuardianError('controlplane.settings', problems.join('; '), {
    hint: 'Correct them in the chart’s values or on the command line; `etcdguardian controlplane --help` lists them.',
  });
}
