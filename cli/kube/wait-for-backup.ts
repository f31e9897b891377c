import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import type { ProgressLine } from '../progress-line.ts';
import { followObject } from './follow-object.ts';
import { phaseText } from './backup-text.ts';
import { tellAway } from './wait-options.ts';

export interface Waiting {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly progress: ProgressLine;
  readonly signal: AbortSignal;
}

/**
 * Follows a backup to its end, telling its steps. Resolves to it when it completed; rejects with the status's own code
 * when it failed, with `kubernetes.not-found` when it is gone, and with the signal's reason. Of a backup with a schedule
 * it is the run that goes on, or the next one, that ends it.
 */
export async function waitForBackup({
  client,
  namespace,
  name,
  progress,
  signal,
}: Waiting): Promise<EtcdBackup> {
  const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
  let told = '';
  const following = followObject<EtcdBackup>(client, reference, {
    signal,
    onAway: tellAway(progress, 'the backup goes on; waiting'),
  });
  for await (const backup of following) {
    if (backup === undefined)
      throw new GuardianError(
        'kubernetes.not-found',
        `there is no EtcdBackup ${namespace}/${name} (any more)`,
        {
          hint: 'What was stored stays unless its deletionPolicy was Delete; "points" lists it.',
        },
      );
    const { phase, progress: far } = backup.status ?? {};
    const text = phaseText(backup);
    if (text !== told) progress.say(text);
    told = text;
    if (phase === 'Completed') return backup;
    if (phase === 'Failed') throw failureOf('EtcdBackup', backup);
    if (far?.doneBytes !== undefined)
      progress.update({
        label: backup.status?.step ?? 'running',
        done: far.doneBytes,
        total: far.totalBytes,
      });
  }
  throw new GuardianError('kubernetes.unavailable', 'the watch ended', { retryable: true });
}

interface Ended {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: { readonly reason?: string; readonly message?: string };
}

/** The error that a failed object tells of: its code decides the exit status. */
export function failureOf(kind: string, { metadata, status = {} }: Ended): GuardianError {
  const { reason, message = 'it says no reason' } = status;
  const code =
    reason !== undefined && /^[a-z0-9-]+\.[a-z0-9.-]+$/.test(reason) ? reason : 'kubernetes.failed';
  return new GuardianError(code, `${kind} ${metadata.namespace ?? ''}/${metadata.name} failed: ${message}`);
}
