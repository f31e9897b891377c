import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreStatus } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import type { RestoreReport } from './restore-report.ts';
import { restoreStatus } from './restore-status.ts';
import type { RestoreSubject } from './restore-subject.ts';

/** On an EtcdRestore that was made again: the operation that it tells of. Such a one never begins. */
export const OPERATION_ANNOTATION = 'etcdguardian.io/operation';

export function operationOf({ metadata }: EtcdRestore): string {
  return metadata.annotations?.[OPERATION_ANNOTATION] ?? metadata.uid ?? '';
}

export interface BroughtBack {
  readonly restore: EtcdRestore;
  readonly status: EtcdRestoreStatus;
}

/**
 * Makes the API say how a restore ended, though the etcd that it restored never heard of it: the EtcdRestore is made again
 * where it is gone. Resolves to undefined where another one has its name now. Rejects with
 * `restore.not-told` where it can't be made (its namespace is not in the restored data, say), and the client's errors.
 */
export async function bringBack(
  client: KubeClient,
  subject: RestoreSubject,
  present: EtcdRestore | undefined,
  report: RestoreReport,
  now: Date,
  signal: AbortSignal,
): Promise<BroughtBack | undefined> {
  const { namespace, name } = subject;
  const reference = { resource: ETCD_RESTORE_RESOURCE, namespace, name };
  if (present !== undefined && operationOf(present) !== report.operation) return undefined;
  const restore = present ?? (await made(client, subject, report.operation, signal));
  const status = restoreStatus(restore, report, now);
  const written = await writeStatus<EtcdRestoreStatus, EtcdRestore>(client, reference, restore, status, {
    signal,
  });
  return { restore: written, status };
}

async function made(
  client: KubeClient,
  { namespace, name, spec, createdAt }: RestoreSubject,
  operation: string,
  signal: AbortSignal,
): Promise<EtcdRestore> {
  if (spec === undefined)
    throw notTold(namespace, name, new Error('its spec was too large for the journal of the agents'));
  const { apiVersion, kind } = ETCD_RESTORE_RESOURCE;
  // Admission names the sender as who asked for it.
  const sender = spec.requestedBy === undefined ? client : client.as(spec.requestedBy);
  const annotations = { [OPERATION_ANNOTATION]: operation, 'etcdguardian.io/created': createdAt };
  try {
    return await sender.create<EtcdRestore>(
      ETCD_RESTORE_RESOURCE,
      namespace,
      { apiVersion, kind, metadata: { name, namespace, annotations }, spec },
      { signal },
    );
  } catch (error) {
    const lasting = ['kubernetes.forbidden', 'kubernetes.not-found', 'kubernetes.invalid'];
    if (lasting.some((code) => hasCode(error, code))) throw notTold(namespace, name, error);
    throw error;
  }
}

function notTold(namespace: string, name: string, cause: unknown): GuardianError {
  return new GuardianError(
    'restore.not-told',
    `EtcdRestore ${namespace}/${name} is not in the restored data and can't be made again: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      hint: 'The restore itself is done: the log of the control plane and the agents’ journals tell of it.',
      cause,
    },
  );
}
