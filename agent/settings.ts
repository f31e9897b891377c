import { z } from 'zod';
import { GuardianError } from '../lib/guardian-error.ts';
import { LOG_FORMATS } from '../lib/log-lines.ts';

/** One setting: its environment variable, its flag of `etcdguardian agent`, and what it may be. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  readonly env: string;
  /** `--name <placeholder>`. */
  readonly flag: string;
  readonly help: string;
  readonly schema: S;
}

const port = z.coerce.number().int().min(0).max(65_535);
const path = z.string().startsWith('/', 'must be an absolute path');
const list = z.string().transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== ''));
const nodeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "must be the node's name as Kubernetes has it");

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
  ...{ Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4, '': 1 },
};

/** `90s`, `15m`; becomes milliseconds. */
const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h)$/, 'must be a duration like 30s or 15m')
  .transform(quantity);
/** `512Mi`, `10Gi`; becomes bytes. */
const byteCount = z
  .string()
  .regex(/^\d+(Ki|Mi|Gi|Ti)?$/, 'must be a number of bytes like 512Mi or 10Gi')
  .transform(quantity);

/** Everything that can be set. */
export const AGENT_SETTINGS = {
  node: setting('ETCDGUARDIAN_NODE', '--node <name>', 'the node that this runs on', nodeName),
  stateDir: setting(
    'ETCDGUARDIAN_STATE_DIR',
    '--state-dir <folder>',
    'what this keeps on the node: credentials, terms, results',
    path.default('/var/lib/etcdguardian'),
  ),
  credentialsDir: setting(
    'ETCDGUARDIAN_CREDENTIALS_DIR',
    '--credentials-dir <folder>',
    'tls.crt, tls.key and ca.crt that someone else keeps current; left out: this enrols by itself',
    path.optional(),
  ),
  enrolUrl: setting(
    'ETCDGUARDIAN_ENROL_URL',
    '--enrol-url <url>',
    'where certificates are had from',
    z
      .url({ protocol: /^https$/ })
      .default('https://etcdguardian-controlplane.etcd-guardian-system.svc:9641/enrol'),
  ),
  tokenFile: setting(
    'ETCDGUARDIAN_TOKEN_FILE',
    '--token-file <file>',
    'the projected service-account token to enrol with',
    path.default('/var/run/secrets/etcdguardian/token'),
  ),
  trustFile: setting(
    'ETCDGUARDIAN_TRUST_FILE',
    '--trust-file <file>',
    'the authorities to trust when enrolling (ca.crt of ConfigMap etcdguardian-trust)',
    path.default('/etc/etcdguardian/trust/ca.crt'),
  ),
  listenHost: setting(
    'ETCDGUARDIAN_LISTEN_HOST',
    '--listen-host <address>',
    'the address of the API for the control plane (default: all)',
    z.string().optional(),
  ),
  port: setting('ETCDGUARDIAN_PORT', '--port <port>', 'its port', port.default(9640)),
  pagesHost: setting(
    'ETCDGUARDIAN_PAGES_HOST',
    '--pages-host <address>',
    'the address of /healthz, /readyz and /metrics',
    z.string().default('127.0.0.1'),
  ),
  pagesPort: setting('ETCDGUARDIAN_PAGES_PORT', '--pages-port <port>', 'their port', port.default(9642)),
  logFormat: setting(
    'ETCDGUARDIAN_LOG_FORMAT',
    '--log-format <format>',
    'json, or text for people',
    z.enum(LOG_FORMATS).default('json'),
  ),

  manifestsDir: setting(
    'ETCDGUARDIAN_MANIFESTS_DIR',
    '--manifests-dir <folder>',
    "the kubelet's static pods",
    path.default('/etc/kubernetes/manifests'),
  ),
  unitDirs: setting(
    'ETCDGUARDIAN_UNIT_DIRS',
    '--unit-dirs <list>',
    'where units of systemd are looked for',
    list.default(['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system']),
  ),
  etcdUnit: setting(
    'ETCDGUARDIAN_ETCD_UNIT',
    '--etcd-unit <name>',
    "etcd's unit",
    z.string().default('etcd.service'),
  ),
  k3sDir: setting(
    'ETCDGUARDIAN_K3S_DIR',
    '--k3s-dir <folder>',
    'where k3s and RKE2 keep their servers',
    path.default('/var/lib/rancher'),
  ),
  etcdEndpoints: setting(
    'ETCDGUARDIAN_ETCD_ENDPOINTS',
    '--etcd-endpoints <list>',
    "this node's etcd, where it isn't found by itself",
    list.default([]),
  ),
  etcdDataDir: setting(
    'ETCDGUARDIAN_ETCD_DATA_DIR',
    '--etcd-data-dir <folder>',
    'its data dir',
    path.optional(),
  ),
  etcdWalDir: setting(
    'ETCDGUARDIAN_ETCD_WAL_DIR',
    '--etcd-wal-dir <folder>',
    'its WAL dir, where that is elsewhere',
    path.optional(),
  ),
  etcdCa: setting('ETCDGUARDIAN_ETCD_CA', '--etcd-ca <file>', 'who signed its certificate', path.optional()),
  etcdCert: setting(
    'ETCDGUARDIAN_ETCD_CERT',
    '--etcd-cert <file>',
    'our client certificate for it',
    path.optional(),
  ),
  etcdKey: setting('ETCDGUARDIAN_ETCD_KEY', '--etcd-key <file>', 'and its key', path.optional()),

  spoolDir: setting(
    'ETCDGUARDIAN_SPOOL_DIR',
    '--spool-dir <folder>',
    'where bytes wait for a slow store, encrypted (default: spool in the state dir)',
    path.optional(),
  ),
  spoolMemory: setting(
    'ETCDGUARDIAN_SPOOL_MEMORY',
    '--spool-memory <bytes>',
    'before that, in memory',
    byteCount.default(16 * 1024 ** 2),
  ),
  spoolDisk: setting(
    'ETCDGUARDIAN_SPOOL_DISK',
    '--spool-disk <bytes>',
    'so many at most; then etcd has to wait',
    byteCount.default(10 * 1024 ** 3),
  ),
  hooks: setting(
    'ETCDGUARDIAN_HOOKS',
    '--hooks <true|false>',
    'whether hooks may run on this node',
    z.stringbool().default(false),
  ),
  attachments: setting(
    'ETCDGUARDIAN_ATTACHMENTS',
    '--attachments <true|false>',
    "whether backups may hold this node's keys and certificates",
    z.stringbool().default(false),
  ),
  stopWithinMs: setting(
    'ETCDGUARDIAN_STOP_WITHIN',
    '--stop-within <duration>',
    'how long work may go on after it was told to stop',
    duration.default(25_000),
  ),
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof AGENT_SETTINGS;
export type AgentSettings = Readonly<z.output<typeof SCHEMA>>;

/**
 * Read once, at the process's start: `flags` win over the environment. An empty variable counts as none. Throws
 * `agent.settings`, which names every setting that is wrong.
 */
export function agentSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): AgentSettings {
  const given = Object.fromEntries(
    (Object.keys(AGENT_SETTINGS) as SettingName[]).flatMap((name) => {
      const text = flags[name] ?? env[AGENT_SETTINGS[name].env];
      return text === undefined || text === '' ? [] : [[name, text]];
    }),
  );
  const parsed = SCHEMA.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path: [name], message }) => {
    const known = Object.entries(AGENT_SETTINGS).find(([key]) => key === name)?.[1];
    return `${known?.env ?? String(name)}: ${message}`;
  });
  throw new GuardianError('agent.settings', problems.join('; '), {
    hint: "Correct them in the chart's values or on the command line; `etcdguardian agent --help` lists them.",
  });
}

function quantity(text: string): number {
  const [, count, unit = ''] = /^(\d+)(\w*)$/.exec(text) ?? [];
  return Number(count) * (UNITS[unit] ?? Number.NaN);
}

function setting<S extends z.ZodType>(env: string, flag: string, help: string, schema: S): Setting<S> {
  return { env, flag, help, schema };
}

type Shape = { readonly [K in SettingName]: (typeof AGENT_SETTINGS)[K]['schema'] };

const SCHEMA = z.object(
  Object.fromEntries(Object.entries(AGENT_SETTINGS).map(([name, { schema }]) => [name, schema])) as Shape,
);
