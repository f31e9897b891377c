import { z } from 'zod';
import { GuardianError } from '../lib/guardian-error.ts';
import { LOG_FORMATS } from '../lib/log-lines.ts';
import {
  dnsName,
  durationMs,
  list,
  port,
  readSettings,
  setting,
  type Settings,
  type SettingValues,
} from '../lib/process-settings.ts';
import { drillPodSettings } from './drill/drill-pod-settings.ts';

const path = z.string().min(1);

/** No drill begins or ends in less, so that all of them would be given up. */
const drillTime = durationMs.refine(
  (ms) => ms >= 1_000,
  'must be a second at least: drills are turned off by their period, 0',
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
    durationMs.default(15_000),
  ),
  renewDeadlineMs: setting(
    'ETCDGUARDIAN_RENEW_DEADLINE',
    '--renew-deadline <duration>',
    'after so long without renewing it, a leader stops',
    durationMs.default(10_000),
  ),
  retryPeriodMs: setting(
    'ETCDGUARDIAN_RETRY_PERIOD',
    '--retry-period <duration>',
    'how often the Lease is tried',
    durationMs.default(2_000),
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
    durationMs.default(30_000),
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
    'stores that tenants may name: names, *.example.com, addresses, networks; others need the right to back up the whole cluster',
    list.default([]),
  ),
  veleroNamespace: setting(
    'ETCDGUARDIAN_VELERO_NAMESPACE',
    '--velero-namespace <name>',
    'where Velero runs',
    dnsName.default('velero'),
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

  drillsEveryMs: setting(
    'ETCDGUARDIAN_DRILLS_EVERY',
    '--drills-every <duration>',
    'how often a restore is rehearsed of each schedule whose backups ask for consistencyCheck; 0: never',
    z.preprocess((text) => (text === '0' ? '0s' : text), durationMs.default(168 * 3_600_000)),
  ),
  drillsDeadlineMs: setting(
    'ETCDGUARDIAN_DRILLS_DEADLINE',
    '--drills-deadline <duration>',
    'after it such a drill is ended',
    drillTime.default(6 * 3_600_000),
  ),
  drillsStartLimitMs: setting(
    'ETCDGUARDIAN_DRILLS_START_LIMIT',
    '--drills-start-limit <duration>',
    'a drill that has not begun so long after it was ordered is given up',
    drillTime.default(900_000),
  ),
  drillsEtcdImage: setting(
    'ETCDGUARDIAN_DRILLS_ETCD_IMAGE',
    '--drills-etcd-image <image>',
    "an image with the etcd that drills start (default: that of the cluster's own pods)",
    z.string().optional(),
  ),
  drillsKubeApiserverImage: setting(
    'ETCDGUARDIAN_DRILLS_KUBE_APISERVER_IMAGE',
    '--drills-kube-apiserver-image <image>',
    "an image with the kube-apiserver that drills start (default: that of the cluster's own pods)",
    z.string().optional(),
  ),
  drillsKubeApiserver: setting(
    'ETCDGUARDIAN_DRILLS_KUBE_APISERVER',
    '--drills-kube-apiserver <true|false>',
    'whether drills start a kube-apiserver on what they restored',
    z.stringbool().default(true),
  ),
  drillsServiceAccount: setting(
    'ETCDGUARDIAN_DRILLS_SERVICE_ACCOUNT',
    '--drills-service-account <name>',
    'the service account of drills, which has no rights',
    dnsName.default('etcdguardian-drill'),
  ),
  drillsPod: setting(
    'ETCDGUARDIAN_DRILLS_POD',
    '--drills-pod <json>',
    'image, nodes and resources of the pods of drills, as the chart gives them; without it there are no drills',
    z.string().transform(jsonOf).pipe(drillPodSettings).optional(),
  ),
} as const satisfies Settings;

export type SettingName = keyof typeof CONTROL_PLANE_SETTINGS;
export type ControlPlaneSettings = SettingValues<typeof CONTROL_PLANE_SETTINGS>;

/** As `readSettings` does; throws `controlplane.settings`. */
export function controlPlaneSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<SettingName, string>>> = {},
): ControlPlaneSettings {
  const of = { command: 'controlplane', code: 'controlplane.settings' };
  const settings = readSettings(CONTROL_PLANE_SETTINGS, of, env, flags);
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = settings;
  if (renewDeadlineMs >= leaseDurationMs || retryPeriodMs >= renewDeadlineMs) {
    throw new GuardianError(
      'controlplane.settings',
      `retry period (${retryPeriodMs} ms), renew deadline (${renewDeadlineMs} ms) and lease duration (${leaseDurationMs} ms) don't follow each other`,
      { hint: 'Each must be shorter than the next: a leader stops before another can take its place.' },
    );
  }
  return settings;
}

function jsonOf(text: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('must be JSON');
    return z.NEVER;
  }
}
