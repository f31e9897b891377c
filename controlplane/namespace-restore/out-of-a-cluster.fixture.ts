import { runBackupTask } from '../../lib/backup/task/run-backup-task.ts';
import { openTaskRepository, type RepositoryTools } from '../../lib/backup/task/task-repository.ts';
import { extractNamespaces } from '../../lib/backup/namespaces/extract-namespaces.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { AgentDirectory } from '../agents/agent-directory.ts';
import { snapshotLocation } from '../backup/snapshot-location.ts';
import { KEYS, type TenantScene } from '../namespace-backup/tenant-scene.fixture.ts';

/** A backup of the scene's whole cluster; resolves to its place. */
export async function backUpCluster(scene: TenantScene): Promise<string> {
  await using client = connectEtcd({ endpoints: [scene.server.etcd.endpoint] });
  const { location, cluster, point } = await runBackupTask(
    {
      ...{ operation: 'whole', mode: 'FULL', repository: accessOf(scene), cluster: scene.tools.cluster },
      ...{
        proof: 'None',
        retainUntil: undefined,
        requester: undefined,
        labels: {},
        etcdClusterId: undefined,
      },
    },
    { ...toolsOf(scene), client, onProgress: () => undefined },
  );
  return snapshotLocation({ store: location, cluster, ...point, revision: undefined });
}

/**
 * A directory with one agent that does in this process what a real one does over gRPC; what real agents do has its own
 * tests.
 */
export function directoryWithAgent(scene: TenantScene): AgentDirectory {
  const agent = {
    async *backUpNamespaces(request: {
      cluster: string;
      timeline: string;
      backupId: string;
      point: { timeline: string; revision: bigint };
      namespaces: readonly { namespace: string }[];
    }) {
      const { repository } = await openTaskRepository(accessOf(scene), toolsOf(scene));
      const { cluster, timeline, backupId: id, point } = request;
      const namespaces = request.namespaces.map(({ namespace }) => namespace);
      const { part, revision } = await extractNamespaces(
        { place: { cluster, timeline, id }, point, namespaces, prefix: '' },
        { ...toolsOf(scene), repository, folder: scene.folder.path, onProgress: () => undefined },
      );
      const { name, plainSize, plainSha256, storedSize, sha256: storedSha256, objects } = part;
      const told = { name, plainSize, plainSha256, storedSize, storedSha256 };
      const namespacesResult = { revision, objects, readMs: 0, encryptedResources: [], part: told };
      yield { step: 'Uploading', message: '', doneBytes: 0, totalBytes: 0, namespaces: namespacesResult };
    },
  };
  const { agents } = scene.tools;
  return {
    ...agents,
    choose: () => Promise.resolve({ agent: { node: 'node-1' }, reason: 'the only one' } as never),
    withTerm: (_node, operation, call) => call(agent as never, { operation, term: 1n }),
  };
}

function accessOf({ s3, location }: TenantScene) {
  const values = { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey };
  return { location, secret: { values, from: 's3' }, keys: KEYS };
}

function toolsOf({ folder }: TenantScene): RepositoryTools {
  return {
    ...{ clock: () => new Date(), knownPoints: undefined, onWarning: () => undefined },
    spool: { folder: folder.path, memoryBytes: 1 << 20, diskBytes: 1 << 26 },
    signal: new AbortController().signal,
  };
}
