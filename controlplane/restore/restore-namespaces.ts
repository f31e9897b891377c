import type { RestoreSource as RightsSource } from '../../lib/kubernetes/rights/required-rights.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import {
  type NamespaceRestoreOutcome,
  runNamespaceRestore,
} from '../namespace-restore/run-namespace-restore.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { RestoreSource } from './restore-source.ts';

/** Whether it takes the way through the API server: by what is asked for, or by what the backup holds. */
export function isOfNamespaces({ spec }: EtcdRestore, { place }: RestoreSource): boolean {
  return place.ofNamespaces === true || (spec.namespaceFilter ?? []).length > 0;
}

/** Rejects as `readRunSecrets` and `runNamespaceRestore` do. */
export async function restoreNamespaces(
  restore: EtcdRestore,
  { place, storageLocation, encryption }: RestoreSource,
  rights: RightsSource | undefined,
  {
    tools,
    signal,
    onProgress,
  }: {
    readonly tools: ControlPlaneTools;
    readonly signal: AbortSignal;
    readonly onProgress: (message: string) => void;
  },
): Promise<NamespaceRestoreOutcome> {
  const { namespace = '' } = restore.metadata;
  const whose = { namespace, requester: restore.spec.requestedBy };
  const secrets = await readRunSecrets({ storageLocation, encryption }, whose, tools, signal);
  return await runNamespaceRestore({
    ...{ restore, place, storageLocation, secrets, source: rights, tools, signal, onProgress },
  });
}
