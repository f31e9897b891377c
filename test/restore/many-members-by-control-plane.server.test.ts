import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG_MAPS, SECRETS } from '../../controlplane/core-resources.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { eventually } from '../harness/eventually.ts';
import { DEFAULT_KUBERNETES } from '../harness/kube-apiserver.ts';
import { addApiServers, type NodeApiServer, untilReady } from '../harness/many-nodes/add-api-servers.ts';
import { addControlPlane, type ControlPlane } from '../harness/many-nodes/add-control-plane.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { WHOLE_MATRIX } from '../harness/sampling.ts';
import { DEFAULT_ETCD } from '../harness/tools.ts';

/** Three API servers, and what a slow machine takes for them. */
const LONG_MS = 300_000;
const CONFIGS = '/api/v1/namespaces/default/configmaps';

// Three etcds, three API servers, and they start twice: for `make test` that is too long beside its likes.
for (const replicas of WHOLE_MATRIX ? (['one replica', 'a replica that dies, and the next'] as const) : [])
  test(
    `an EtcdRestore of three members, led by ${replicas}`,
    needsNodes(
      ...[`etcd ${DEFAULT_ETCD}`, `kube-apiserver ${DEFAULT_KUBERNETES}`, `kubectl ${DEFAULT_KUBERNETES}`],
      'versitygw',
    ),
    async () => {
      await using stack = new AsyncDisposableStack();
      const scene = stack.use(await startManyNodes());
      const servers = await addApiServers(scene, stack);
      const plane = await addControlPlane(scene, servers, stack);
      const { kube, namespace } = plane;
      const first = await plane.startReplica('replica-1');
      await first.line(/"event":"leader"/);

      await kube.create(CONFIG_MAPS, 'default', {
        metadata: { name: 'wanted' },
        data: { value: 'precious' },
      });
      const backup = await backUp(plane).catch((error: unknown) => {
        throw new Error(first.output(), { cause: error });
      });
      assert.equal(backup.status?.phase, 'Completed', backup.status?.message ?? '');
      await kube.delete({ resource: CONFIG_MAPS, namespace: 'default', name: 'wanted' });
      await kube.create(CONFIG_MAPS, 'default', { metadata: { name: 'newer' }, data: { value: 'goes' } });
      await kube.create(SECRETS, namespace, { metadata: { name: 'ours' }, stringData: { value: 'stays' } });
      const before = await Promise.all(scene.nodes.map(({ etcd }) => etcd.proof()));

      const halt = await scene.nodes[1]?.agent.haltAt('Quiesced');
      const asked = await kube.create<EtcdRestore>(ETCD_RESTORE_RESOURCE, namespace, {
        ...{ apiVersion: ETCD_RESTORE_RESOURCE.apiVersion, kind: 'EtcdRestore', metadata: { name: 'back' } },
        spec: { restoreMode: 'Full', backupName: 'first' },
      });
      const early = ended(servers, namespace).then(({ status }) => {
        throw new Error(`it ended before anything was stopped: ${status?.message ?? ''}\n${first.output()}`);
      });
      await Promise.race([halt?.halted, early]);
      if (replicas !== 'one replica') {
        await first.kill();
        await plane.startReplica('replica-2');
      }
      await halt?.release();
      const { status } = await ended(servers, namespace);
      await untilReady(servers);
      const operation = asked.metadata.uid ?? '';
      const journals = await Promise.all(scene.nodes.map((node) => node.journalState(operation)));
      const told = `${status?.message ?? ''} ${journals.join()} ${first.output()}`;

      // Without a leader nodes go back by themselves: nobody can look at the API meanwhile. Either way all are alike.
      const isRestored = status?.phase === 'Completed';
      if (replicas === 'one replica') assert.ok(isRestored, told);
      const rolledBack = status?.conditions?.find(({ type }) => type === 'RolledBack')?.status === 'True';
      assert.equal(rolledBack, !isRestored, told);
      assert.equal(status?.members?.length, 3, told);
      const [state] = journals;
      assert.ok(state === (isRestored ? 'Resumed' : 'RolledBack'), told);
      assert.deepEqual(journals, [state, state, state]);
      for (const server of servers) {
        assert.equal(await found(server, `${CONFIGS}/wanted`), isRestored, server.node.name);
        assert.equal(await found(server, `${CONFIGS}/newer`), !isRestored, server.node.name);
        // Ours is as it was before, whatever the data knows.
        assert.ok(await found(server, `/api/v1/namespaces/${namespace}/secrets/ours`), server.node.name);
      }
      const after = await Promise.all(
        scene.nodes.map(({ etcd }) => etcd.proof(1n).catch(() => etcd.proof())),
      );
      for (const { clusterId } of after)
        assert.equal(clusterId === before[0]?.clusterId, !isRestored, 'another cluster where it is restored');
    },
  );

async function backUp({ kube, namespace, storageLocation, encryption }: ControlPlane): Promise<EtcdBackup> {
  await kube.create(ETCD_BACKUP_RESOURCE, namespace, {
    ...{ apiVersion: ETCD_BACKUP_RESOURCE.apiVersion, kind: 'EtcdBackup', metadata: { name: 'first' } },
    spec: { backupMode: 'Full', storageLocation, encryption },
  });
  const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name: 'first' };
  return await eventually(
    'the backup has ended',
    async () => {
      const backup = await kube.get<EtcdBackup>(reference);
      return ['Completed', 'Failed'].includes(backup.status?.phase ?? '') ? backup : undefined;
    },
    LONG_MS,
  );
}

/** By whichever API server answers. */
async function ended(servers: readonly NodeApiServer[], namespace: string): Promise<EtcdRestore> {
  const path = `/apis/etcdguardian.io/v1alpha1/namespaces/${namespace}/etcdrestores/back`;
  return await eventually(
    'the restore has ended',
    async () => {
      for (const server of servers) {
        const answer = await server.request('GET', path).catch(() => undefined);
        const restore = answer?.status === 200 ? (answer.body as EtcdRestore) : undefined;
        if (['Completed', 'Failed'].includes(restore?.status?.phase ?? '')) return restore;
      }
      return undefined;
    },
    LONG_MS,
  );
}

async function found(server: NodeApiServer, path: string): Promise<boolean> {
  return await eventually(`${server.node.name} tells of ${path}`, async () => {
    const { status } = await server.request('GET', path);
    return [200, 404].includes(status) ? { is: status === 200 } : undefined;
  }).then(({ is }) => is);
}
