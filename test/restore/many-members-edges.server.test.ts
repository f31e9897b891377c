import assert from 'node:assert/strict';
import { readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RestoreOrder } from '../../lib/restore/cluster/coordinate-restore.ts';
import { createAuthority } from '../harness/certificates.ts';
import { eventually } from '../harness/eventually.ts';
import {
  type CoordinatorEnd,
  haltedWhile,
  PATIENT,
  SOON,
  startCoordinator,
} from '../harness/many-nodes/coordinator.ts';
import { cleanUp, prepareDisturbed, writeNewer } from '../harness/many-nodes/disturb-restore.ts';
import { judgeMembers, untilOver } from '../harness/many-nodes/judge-members.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { type ManyNode, type ManyNodes, startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { runProgram } from '../harness/run-program.ts';
import { sample, testRandom, WHOLE_MATRIX } from '../harness/sampling.ts';
import { ETCD_VERSIONS } from '../harness/tools.ts';

const VERSIONS = ETCD_VERSIONS.filter((version) => !version.startsWith('3.4.'));

for (const version of WHOLE_MATRIX ? VERSIONS : [testRandom('edges of many members').pick(VERSIONS)])
  describe(`a restore of three members (etcd ${version})`, needsNodes(`etcd ${version}`, 'versitygw'), () => {
    let scene: ManyNodes;
    let backup: Awaited<ReturnType<ManyNodes['backUp']>>;
    before(async () => {
      scene = await startManyNodes({
        version,
        layouts: ['plain', 'two-mounts', 'separate-wal'],
        diskBytes: 768 * 2 ** 20,
      });
      ({ backup } = await prepareDisturbed(scene));
    });
    after(() => scene[Symbol.asyncDispose]());

    /** In this order; what comes last leaves no backup behind. */
    const edges: (readonly [string, () => Promise<void>])[] = [];
    const edge = (name: string, work: () => Promise<void>): void => {
      edges.push([name, work]);
    };
    const lead = async (order: RestoreOrder): Promise<CoordinatorEnd> => {
      await using coordinator = await startCoordinator(scene, order, { budgets: PATIENT });
      const end = await coordinator.ended;
      assert.ok(end !== undefined);
      return end;
    };
    const nodeAt = (at: number): ManyNode => {
      const node = scene.nodes[at];
      assert.ok(node !== undefined);
      return node;
    };

    edge('goes to a revision between two backups, also where API servers are left alone', async () => {
      const known = await writeNewer(scene, 'of the moment that is wanted');
      await writeNewer(scene, 'of a later moment');
      const { point } = await scene.backUp('INCREMENTAL');
      assert.ok(point !== undefined);
      const wanted = { ...point, revision: known.revision };
      const order = scene.order(wanted, point.revision + 1_000n, { quiesce: false });
      const end = await lead(order);
      assert.equal(end.kind, 'restored', end.text);
      await untilOver(scene.nodes, order.operation);
      const restored = { ...known, before: 'of a later moment', restored: known.before };
      for (const { name, etcd } of scene.nodes)
        assert.equal(await eventually(`${name} answers`, () => etcd.get(known.key)), restored.restored);
      const proofs = await Promise.all(
        scene.nodes.map(({ etcd }) => eventually('etcd tells its hash', () => etcd.proof())),
      );
      for (const proof of proofs) assert.deepEqual(proof, proofs[0]);
      assert.notEqual(proofs[0]?.clusterId, known.clusterId);
      await cleanUp(scene.nodes, order.operation);
      // What is restored from here on is of this timeline.
      ({ backup } = await prepareDisturbed(scene));
    });

    edge('is refused while another one is under way, which goes on', async () => {
      const known = await writeNewer(scene, 'kept');
      const first = scene.order(backup.point, known.revision + 1_000n);
      const second = scene.order(backup.point, known.revision + 1_000n);
      const halt = await nodeAt(1).agent.haltAt('Quiesced');
      await using coordinator = await startCoordinator(scene, first, { budgets: PATIENT });
      await haltedWhile(coordinator, halt.halted);
      // All refuse it before it has taken a term, and the first one goes on.
      const refused = await lead(second);
      await halt.release();
      assert.deepEqual([refused.kind, refused.code], ['rolled-back', 'restore.busy'], refused.text);
      const unaware = await Promise.all(scene.nodes.map((node) => node.journalState(second.operation)));
      assert.deepEqual(unaware, [undefined, undefined, undefined], refused.text);
      const end = await coordinator.ended;
      assert.notEqual(end?.kind, 'taken-over', end?.text ?? 'killed');
      await untilOver(scene.nodes, first.operation);
      const result = await judgeMembers(scene, known);
      if (end?.kind === 'restored') assert.equal(result, 'restored');
      if (end?.kind === 'rolled-back') assert.equal(result, 'as before');
      await cleanUp(scene.nodes, first.operation);
    });

    edge('works with certificates of another authority than those of the backup', async () => {
      await using authority = await createAuthority('etcd, renewed');
      const { etcdAuthority, nodes } = scene;
      // One after the other, as an administrator does: first whom to trust, then who one is.
      for (const authorities of [
        [authority, etcdAuthority],
        [etcdAuthority, authority],
      ])
        for (const node of nodes) {
          await node.pki.write(authorities);
          await node.pods.kill('etcd.yaml');
          await scene.serving();
        }
      const known = await writeNewer(scene, 'kept, too');
      const order = scene.order(backup.point, known.revision + 1_000n);
      const end = await lead(order);
      assert.equal(end.kind, 'restored', end.text);
      await untilOver(nodes, order.operation);
      assert.equal(await judgeMembers(scene, known), 'restored');
      await cleanUp(nodes, order.operation);
    });

    edge(
      'has its end on all alike when a disk is full as it is swapped, and once there is room again',
      async () => {
        const known = await writeNewer(scene, 'of before the full disk');
        const order = scene.order(backup.point, known.revision + 1_000n);
        const node = nodeAt(1);
        const halt = await node.agent.haltAt('Quiesced');
        await using coordinator = await startCoordinator(scene, order, {
          budgets: { ...PATIENT, swapMs: SOON.swapMs, startMs: SOON.startMs },
        });
        await haltedWhile(coordinator, halt.halted);
        const full = await Promise.all([
          fill(node, node.dirs.dataDir),
          fill(node, join(node.dirs.walDir, '..')),
        ]);
        await halt.release();
        const end = await coordinator.ended;
        for (const file of full) await rm(file);
        await untilOver(scene.nodes, order.operation);
        const result = await judgeMembers(scene, known);
        if (end?.kind === 'restored') assert.equal(result, 'restored');
        if (end?.kind === 'rolled-back') assert.equal(result, 'as before');
        await cleanUp(scene.nodes, order.operation);
      },
    );

    edge('is given up before anything stops when a node is away', async () => {
      const known = await writeNewer(scene, 'untouched');
      const node = nodeAt(1);
      await node.place.unplug();
      const end = await lead(scene.order(backup.point, known.revision + 1_000n));
      await node.place.mend();
      assert.deepEqual([end.kind, end.code], ['rolled-back', 'restore.agent-away'], end.text);
      assert.match(end.text, new RegExp(node.name));
      assert.equal(await judgeMembers(scene, known), 'as before');
    });

    edge('is given up before anything stops when a disk is full, or the backup is damaged', async () => {
      const known = await writeNewer(scene, 'untouched, too');
      const node = nodeAt(1);
      const refused = async (): Promise<void> => {
        const order = scene.order(backup.point, known.revision + 1_000n);
        const end = await lead(order);
        assert.equal(end.kind, 'rolled-back', end.text);
        assert.notEqual(end.code, '');
        for (const one of scene.nodes)
          assert.ok(['RolledBack', 'Failed', undefined].includes(await one.journalState(order.operation)));
      };
      const file = await fill(node, node.dirs.dataDir);
      await refused();
      await rm(file);
      await damageBackups(scene.s3.folder);
      await refused();
      assert.equal(await judgeMembers(scene, known), 'as before');
    });

    for (const [name, work] of sample(edges, 2, 'edges of many members')) test(name, work);
  });

/** Takes what room there is on the disk of a folder; resolves to the file that has it. */
async function fill({ place }: ManyNode, folder: string): Promise<string> {
  const file = join(place.path(folder), 'ballast');
  const { bavail, bsize } = await statfs(place.path(folder));
  await runProgram('fallocate', ['--length', String(bavail * bsize), file]);
  return file;
}

/** What a bad disk of the store would do to all that it has. */
async function damageBackups(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  await eventually('there is a backup', () => files.length > 0);
  for (const file of files) await writeFile(file, Buffer.alloc(100, 'x'));
}
