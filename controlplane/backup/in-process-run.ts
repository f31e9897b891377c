import { join } from 'node:path';
import { clusterName } from '../../lib/backup/cluster-name.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { makeFolders } from '../../lib/make-folders.ts';
import type { BackupRun } from './backup-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import type { Places } from './places.ts';
import { proofWanted } from './proof-wanted.ts';

/**
 * Backs up an etcd that is named by address and has no agent, by the very code that agents run. `places` bounds how many
 * at a time, since each takes memory of this process.
 */
export function inProcessRun(places: Places): BackupRun {
  return async ({ backup, operation, secrets, labels, tools, signal, onProgress, record }) => {
    const { etcdEndpoints = [], storageLocation, requestedBy, validation, backupMode } = backup.spec;
    refuseOwnDisk(storageLocation.provider);
    const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
    await record({ node: '' });
    if (places.full)
      onProgress({
        ...{ step: 'Preparing', doneBytes: 0, totalBytes: 0 },
        message: 'waiting: other backups of etcd without an agent run in the control plane',
      });
    using stack = new DisposableStack();
    stack.use(await places.take(signal));
    const { connectEtcd } = await import('../../lib/etcd/client/connect-etcd.ts');
    const { runBackupTask } = await import('../../lib/backup/task/run-backup-task.ts');
    await using client = connectEtcd({ endpoints: etcdEndpoints, tls: secrets.etcdTls });
    const { spoolDir } = tools.settings;
    await makeFolders(spoolDir, 0o700);
    return await runBackupTask(
      {
        operation,
        mode: backupMode === 'Full' ? 'FULL' : 'INCREMENTAL',
        repository: { location: { ...storageLocation, network }, secret: secrets.store, keys: secrets.keys },
        cluster: await externalClusterName(client, signal),
        proof: proofWanted(validation),
        retainUntil: undefined,
        requester: requestedBy && {
          username: requestedBy.username,
          uid: requestedBy.uid,
          groups: requestedBy.groups && [...requestedBy.groups],
        },
        labels,
        etcdClusterId: undefined,
        listedMembers: false,
      },
      {
        ...{ client, clock: tools.clock, signal, onProgress },
        spool: { folder: spoolDir, memoryBytes: SPOOL_MEMORY_BYTES, diskBytes: SPOOL_DISK_BYTES },
        knownPoints: join(spoolDir, 'known-points.json'),
        onWarning: (message) => {
          const { namespace = '', name } = backup.metadata;
          tools.log.write('warning', 'backup-warning', `${namespace}/${name}: ${message}`, { operation });
        },
      },
    );
  };
}

const SPOOL_MEMORY_BYTES = 16 * 2 ** 20;
const SPOOL_DISK_BYTES = 8 * 2 ** 30;

/** What a container writes beside its volumes is gone with it. */
function refuseOwnDisk(provider: string): void {
  if (provider !== 'Local') return;
  throw new GuardianError(
    'controlplane.unsupported',
    'provider Local is a folder on the node of an agent, and the etcd of etcdEndpoints has none',
    { hint: 'Use an object store, or run the agent beside that etcd.' },
  );
}

/** An etcd that serves no Kubernetes has no better name than its cluster id. */
async function externalClusterName(client: EtcdClient, signal: AbortSignal): Promise<string> {
  try {
    return await clusterName(client, undefined, signal);
  } catch (error) {
    if (!hasCode(error, 'backup.cluster-name')) throw error;
    const { header } = await client.range('\0', { countOnly: true, serializable: true, signal });
    return `etcd-${header.clusterId.toString(16)}`;
  }
}
