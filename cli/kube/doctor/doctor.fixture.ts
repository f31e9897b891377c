import { GuardianError } from '../../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSchedule } from '../../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { Authority } from '../../../lib/pki/authority.ts';
import { toSecretData } from '../../../lib/pki/authority-bundle.ts';
import { CLUSTER, credentialsFor, newAuthority, WEBHOOK } from '../../../lib/pki/installation.fixture.ts';
import type { Installation } from '../installation.ts';
import type { Pod } from '../installed-resources.ts';

export const NOW = new Date('2026-11-22T12:00:00Z');
const MINUTE_MS = 60_000;

export function ago(minutes: number): string {
  return new Date(NOW.getTime() - minutes * MINUTE_MS).toISOString();
}

const AUTHORITY: Authority = await newAuthority(new Date('2026-09-01T12:00:00Z'));
const CA = AUTHORITY.certificate.toString();

/** The Secret of the webhook's certificate, issued at that time for 30 days. */
export async function webhookTls(issued: Date): Promise<Installation['webhookTls']> {
  const { cert, key, ca } = await credentialsFor(AUTHORITY, WEBHOOK, { now: issued });
  const data = { 'tls.crt': base64(cert), 'tls.key': base64(key), 'ca.crt': base64(ca) };
  return { found: { metadata: { name: 'etcdguardian-webhook-tls' }, data } };
}

export function backup(name: string, minutesAgo: number, changes: Partial<EtcdBackup> = {}): EtcdBackup {
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
    metadata: { name, namespace: 'ops', creationTimestamp: ago(minutesAgo) },
    spec: {
      backupMode: 'Full',
      storageLocation: { provider: 'S3', bucket: 'backups', credentialsSecret: 's3' },
      encryption: { enabled: false },
      validation: { enabled: true, consistencyCheck: true },
      veleroIntegration: { enabled: false },
      deletionPolicy: 'Retain',
    },
    status: {
      phase: 'Completed',
      completionTime: ago(minutesAgo),
      validationResult: { verdict: 'Sound', proof: 'LiveHash' },
    },
    ...changes,
  };
}

export function schedule(
  status: EtcdBackupSchedule['status'] = {},
  spec: Partial<EtcdBackupSchedule['spec']> = {},
): EtcdBackupSchedule {
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule' },
    metadata: { name: 'nightly', namespace: 'ops' },
    spec: {
      ...{ schedule: '0 2 * * *', suspend: false, concurrencyPolicy: 'Forbid' },
      backupTemplate: { spec: backup('of-template', 0).spec },
      aiOptimization: { enabled: false },
      ...spec,
    },
    status,
  };
}

export function pod(component: string, name: string, isReady = true): Pod {
  return {
    metadata: { name, labels: { 'app.kubernetes.io/component': component } },
    spec: { nodeName: 'node-1' },
    status: {
      ...{ phase: 'Running', podIP: '10.0.0.1' },
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
    },
  };
}

export function webhook(caBundle = base64(CA), failurePolicy = 'Fail'): Installation['mutating'] {
  const entry = { name: 'stamp.etcdguardian.io', clientConfig: { caBundle }, failurePolicy };
  return { found: [{ metadata: { name: 'etcdguardian' }, webhooks: [entry] }] };
}

export function lease(secondsAgo: number, holderIdentity = 'controlplane-a'): Installation['lease'] {
  const renewTime = new Date(NOW.getTime() - secondsAgo * 1000).toISOString();
  return {
    found: {
      metadata: { name: 'etcdguardian-controlplane' },
      spec: { holderIdentity, renewTime, leaseDurationSeconds: 15 },
    },
  };
}

export function forbidden(what: string): { readonly problem: GuardianError } {
  return { problem: new GuardianError('kubernetes.forbidden', `${what}: you may not`) };
}

const CRD = {
  metadata: { name: 'x' },
  spec: { versions: [{ name: 'v1alpha1', served: true }] },
  status: { conditions: [{ type: 'Established', status: 'True' }] },
};

const WELL: Installation = {
  namespace: 'etcd-guardian-system',
  server: { found: { url: 'https://api', version: 'v1.36.3', user: 'admin', clockAheadMs: 300 } },
  cluster: { found: CLUSTER },
  crds: { found: ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'].map((name) => [name, CRD] as const) },
  mutating: webhook(),
  validating: webhook(),
  policies: { found: ['requester', 'rights', 'status', 'finalizers'].map((name) => `etcdguardian-${name}`) },
  bound: { found: ['requester', 'rights', 'status', 'finalizers'].map((name) => `etcdguardian-${name}`) },
  lease: lease(2),
  pods: { found: [pod('controlplane', 'c-1'), pod('webhook', 'w-1'), pod('agent', 'a-1')] },
  agents: { found: { metadata: { name: 'etcdguardian-agent' }, status: { desiredNumberScheduled: 1 } } },
  events: { found: [] },
  trust: { found: { metadata: { name: 'etcdguardian-trust' }, data: { 'ca.crt': CA } } },
  authority: {
    found: {
      metadata: { name: 'etcdguardian-authority' },
      data: toSecretData({ signer: AUTHORITY, retired: [] }),
    },
  },
  webhookTls: await webhookTls(new Date('2026-11-20T12:00:00Z')),
  backups: { found: [backup('last-night', 600)] },
  schedules: { found: [schedule({ nextBackupTime: ago(-840), lastSuccessfulBackup: 'last-night' })] },
};

/** An installation that does well, but for this. */
export function installation(but: Partial<Installation> = {}): Installation {
  return { ...WELL, ...but };
}

export const AUTHORITY_ENDS = AUTHORITY.certificate.validToDate;

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
