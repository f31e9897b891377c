import { join } from 'node:path';
import { openTaskRepository, type TaskRepository } from '../../lib/backup/task/task-repository.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { makeFolders } from '../../lib/make-folders.ts';
import { rightsSettings } from '../judge-asked.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** Opens what a custom resource names from this process, which has no disk of a node. Rejects as `openTaskRepository`. */
export async function openStoreOfRun(
  location: StorageLocation,
  secrets: Pick<RunSecrets, 'store' | 'keys'>,
  tools: Pick<ControlPlaneTools, 'clock' | 'settings' | 'log'>,
  operation: string,
  signal: AbortSignal,
): Promise<TaskRepository> {
  if (location.provider === 'Local') {
    throw new GuardianError(
      'controlplane.unsupported',
      'provider Local is a folder on one node, and backups of namespaces pass through the control plane too',
      { hint: 'Use an object store.' },
    );
  }
  const { clock, settings, log } = tools;
  const { spoolDir } = settings;
  // A tenant's endpoint must not lead into the cluster, whatever its name resolves to.
  const network = storeNetwork(location, rightsSettings(tools).tenantEndpoints);
  await makeFolders(spoolDir, 0o700);
  return await openTaskRepository(
    { location: { ...location, network }, secret: secrets.store, keys: secrets.keys },
    {
      ...{ clock, signal },
      spool: { folder: spoolDir, memoryBytes: SPOOL_MEMORY_BYTES, diskBytes: SPOOL_DISK_BYTES },
      knownPoints: join(spoolDir, 'known-points.json'),
      onWarning: (message) => {
        log.write('warning', 'store-warning', message, { operation });
      },
    },
  );
}

const SPOOL_MEMORY_BYTES = 8 * 2 ** 20;
const SPOOL_DISK_BYTES = 2 * 2 ** 30;
