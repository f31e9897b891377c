import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { type KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { isNamespaced } from '../../lib/kubernetes/rights/required-rights.ts';
import { readSurroundings } from '../../lib/kubernetes/rights/surroundings.ts';
import { type ControlPlaneTools } from '../tools.ts';

/** Takes an EtcdRestore of namespaces through the API server; writes its status itself. */
export type NamespaceRestoreRun = (
  restore: EtcdRestore,
  tools: ControlPlaneTools,
  signal: AbortSignal,
) => Promise<void>;

/** Whether an EtcdRestore is about namespaces, and takes the way through the API server. */
export async function restoresNamespaces(
  { metadata: { namespace = '' }, spec }: EtcdRestore,
  client: KubeClient,
  signal: AbortSignal,
): Promise<boolean> {
  const { source } = await readSurroundings(client, { kind: 'EtcdRestore', namespace, spec }, signal);
  return isNamespaced(spec, source);
}

/** Where that way isn't built in. */
export function noNamespaceRestores(): NamespaceRestoreRun {
  return () =>
    Promise.reject(
      new GuardianError(
        'controlplane.unsupported',
        'restores of namespaces are not supported by this version',
        {
          hint: 'Restore the whole cluster, or with "etcdguardian restore" to a folder.',
        },
      ),
    );
}
