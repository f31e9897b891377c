import { z } from 'zod';
import { LOG_FORMATS } from '../lib/log-lines.ts';
import {
  byteCount,
  dnsName,
  durationMs,
  list,
  port,
  readSettings,
  setting,
  type Settings,
  type SettingValues,
} from '../lib/process-settings.ts';

const path = z.string().startsWith('/', 'must be an absolute path');

/** Everything that can be set. */
export const AGENT_SETTINGS = {
  node: setting('ETCDGUARDIAN_NODE', '--node <name>', 'the node that this runs on', dnsName),
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
  attachmentPaths: setting(
    'ETCDGUARDIAN_ATTACHMENT_PATHS',
    '--attachment-paths <list>',
    'which files and folders, beside those that etcd and the API server are told of',
    list.default(['/etc/kubernetes']),
  ),
  stopWithinMs: setting(
    'ETCDGUARDIAN_STOP_WITHIN',
    '--stop-within <duration>',
    'how long work may go on after it was told to stop',
    durationMs.default(25_000),
  ),
} as const satisfies Settings;

export type SettingName = keyof typeof AGENT_SETTINGS;
export type AgentSettings = SettingValues<typeof AGENT_SETTINGS>;

/** As `readSettings` does; throws `agent.settings`. */
export function agentSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): AgentSettings {
  return readSettings(AGENT_SETTINGS, { command: 'agent', code: 'agent.settings' }, env, flags);
}
