import { randomBytes } from 'node:crypto';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { TOOL } from '../../lib/program-version.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { storeAccess } from '../../lib/storage/store-access.ts';
import { rightsSettings } from '../judge-asked.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';

/**
 * Opens the repository that an EtcdBackup is in, with the Secrets that it names, as whoever asked for it. Rejects as
 * `readRunSecrets` and `openRepository` do, and with `controlplane.unsupported` for a folder on a node.
 */
export async function openStored(
  { metadata, spec }: EtcdBackup,
  tools: ControlPlaneTools,
  signal: AbortSignal,
): Promise<Repository> {
  const { storageLocation: location, encryption, requestedBy: requester } = spec;
  if (location.provider === 'Local')
    throw new GuardianError(
      'controlplane.unsupported',
      'backups in a folder on a node are not removed by this version',
      { hint: 'Run `etcdguardian backup prune` on the node, or use an object store.' },
    );
  const { namespace = '' } = metadata;
  const secrets = await readRunSecrets(
    { storageLocation: location, encryption },
    { namespace, requester },
    tools,
    signal,
  );
  const network = storeNetwork(location, rightsSettings(tools).tenantEndpoints);
  // Much code, which idle processes go without.
  const { taskKeys } = await import('../../lib/backup/task/task-keys.ts');
  const { openRepository } = await import('../../lib/repository/open-repository.ts');
  const { openStore } = await import('../../lib/storage/open-store.ts');
  const store = await openStore(storeAccess({ ...location, network }, secrets.store), {
    clock: tools.clock,
    random: tools.random,
  });
  const { encryption: sealing, signer, verifier } = await taskKeys(secrets.keys);
  return await openRepository(
    { store, encryption: sealing, signer, verifier, clock: tools.clock, randomBytes, tool: TOOL },
    { signal },
  );
}
