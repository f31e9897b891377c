import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { eventually } from '../harness/eventually.ts';
import { haltedWhile, PATIENT, startCoordinator } from '../harness/many-nodes/coordinator.ts';
import { cleanUp, prepareDisturbed, writeNewer } from '../harness/many-nodes/disturb-restore.ts';
import { judgeMembers, type KnownData, untilOver } from '../harness/many-nodes/judge-members.ts';
import { type NightShift, nightShift } from '../harness/many-nodes/night-shift.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { type ManyNode, type ManyNodes, startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { ETCD_VERSIONS } from '../harness/tools.ts';
import { operator } from '../runbooks/runbooks.ts';

const random = testRandom('scenes by hand');
const version = random.pick(ETCD_VERSIONS.filter((one) => !one.startsWith('3.4.')));
/** Time for all to vote on a slow machine; it is also how long they wait for what never comes. */
const VOTING = { ...PATIENT, verifyMs: 20_000 };
const rows = z.object({ nodes: z.array(z.object({ node: z.string(), state: z.string() })) });
const outcome = z.object({ operation: z.string(), outcome: z.string() });
const planned = z.object({ own: z.object({ objects: z.int(), message: z.string() }) });

describe(
  `three nodes and a person (etcd ${version})`,
  needsNodes(`etcd ${version}`, 'etcdctl 3.6.16', 'versitygw'),
  () => {
    let scene: ManyNodes;
    let person: NightShift;
    let backup: Awaited<ReturnType<ManyNodes['backUp']>>;
    before(async () => {
      scene = await startManyNodes({ version, layouts: ['mount', 'separate-wal', 'plain'] });
      ({ backup } = await prepareDisturbed(scene));
      person = await nightShift(scene);
    });
    after(() => scene[Symbol.asyncDispose]());

    const nodeAt = (at: number): ManyNode => {
      const node = scene.nodes[at];
      assert.ok(node !== undefined);
      return node;
    };
    const scenes: (readonly [string, () => Promise<void>])[] = [];
    const scenery = (name: string, work: () => Promise<void>): void => {
      scenes.push([name, work]);
    };

    for (const decision of ['--commit', '--roll-back'])
      scenery(`settle ${decision} what nodes have given up, and the lost one follows`, async () => {
        const known = await writeNewer(scene, `of before ${decision}`);
        const order = scene.order(backup.point, known.revision + 1_000n);
        const lost = nodeAt(2);
        const halt = await lost.agent.haltAt('Verified');
        await using coordinator = await startCoordinator(scene, order, { budgets: VOTING });
        await haltedWhile(coordinator, halt.halted);
        await eventually('the others have voted', async () =>
          (await Promise.all([0, 1].map((at) => nodeAt(at).journalState(order.operation)))).every(
            (state) => state === 'Verified',
          ),
        );
        await coordinator.kill();
        await lost.agent.kill();
        const settle = ['restore', 'settle', order.operation, decision, ...person.agents];
        await eventually('the others have given up', async () => {
          const { stdout } = await person.cli.run(['restore', 'status', ...person.agents]);
          return /node-1 .*given up/.test(stdout) && /node-2 .*given up/.test(stdout);
        });
        const unheard = await person.cli.run(settle);
        assert.match(unheard.stdout, /\[restore\.peers-away\]/);
        const { nodes } = await person.cli.json(rows, [...settle, '--without', lost.name]);
        assert.equal(nodes.length, 2);
        // It comes back all the same, and may not be of another mind.
        await lost.agent.start();
        const states = await untilOver(scene.nodes, order.operation);
        const end = decision === '--commit' ? 'Resumed' : 'RolledBack';
        assert.deepEqual(states, [end, end, end]);
        await judged(known, decision === '--commit' ? 'restored' : 'as before', order.operation);
      });

    scenery('Ctrl-C while data is staged costs nothing', async () => {
      const known = await writeNewer(scene, 'of before Ctrl-C');
      const halt = await nodeAt(1).agent.haltAt('Staging');
      await using command = await person.cli.start([...person.restore, '--yes']);
      await haltedOf(command, halt.halted);
      command.signal('SIGINT');
      await command.line(/interrupted: it is given up; nothing was stopped/);
      await halt.release();
      assert.equal(await command.exited, 130, command.output());
      assert.match(command.output(), /NOT restored: everything is as it was before/);
      const states = await untilOver(scene.nodes, operationOf(command));
      for (const state of states) assert.ok([undefined, 'RolledBack', 'Failed'].includes(state), `${state}`);
      await judged(known, 'as before');
    });

    scenery('Ctrl-C behind the first stop goes on to the end', async () => {
      const known = await writeNewer(scene, 'of before the late Ctrl-C');
      const halt = await nodeAt(1).agent.haltAt('Quiesced');
      await using command = await person.cli.start([...person.restore, '--yes']);
      await haltedOf(command, halt.halted);
      command.signal('SIGINT');
      await command.line(/interrupted: something is stopped already, so this goes on to its end/);
      await halt.release();
      assert.equal(await command.exited, 0, command.output());
      const operation = operationOf(command);
      assert.deepEqual(await untilOver(scene.nodes, operation), ['Resumed', 'Resumed', 'Resumed']);
      await judged(known, 'restored', operation);
    });

    scenery('a second person is refused while a restore is under way, which goes on', async () => {
      const known = await writeNewer(scene, 'of before two persons');
      const halt = await nodeAt(1).agent.haltAt('Quiesced');
      await using first = await person.cli.start([...person.restore, '--yes']);
      await haltedOf(first, halt.halted);
      const second = await person.cli.run([...person.restore, '--yes']);
      await halt.release();
      assert.equal(second.status, 6, second.stderr);
      assert.match(second.stderr, /in the way: restore cli-\S+ is under way on node-1 .*\[restore\.busy\]/);
      assert.equal(await first.exited, 0, first.output());
      const operation = operationOf(first);
      assert.deepEqual(await untilOver(scene.nodes, operation), ['Resumed', 'Resumed', 'Resumed']);
      await judged(known, 'restored', operation);
    });

    scenery('two persons who begin at the same time: one is refused, or has nobody to disturb', async () => {
      const known = await writeNewer(scene, 'of before two at once');
      await using one = await person.cli.start([...person.restore, '--yes']);
      await using other = await person.cli.start([...person.restore, '--yes']);
      const ends = await Promise.all([one.exited, other.exited]);
      const told = `${ends.join()}\n${one.output()}\n\n${other.output()}`;
      assert.ok(ends.includes(0), told);
      for (const [at, command] of [one, other].entries()) {
        const operation = operationOf(command);
        const states = await untilOver(scene.nodes, operation);
        if (ends[at] === 0) {
          assert.deepEqual(states, ['Resumed', 'Resumed', 'Resumed'], told);
          await cleanUp(scene.nodes, operation);
        } else {
          assert.match(command.output(), /\[restore\.busy\]|another coordinator has taken/, told);
          for (const state of states)
            assert.ok([undefined, 'RolledBack', 'Failed'].includes(state), `${state} ${told}`);
        }
      }
      await judged(known, 'restored');
    });

    scenery('what is left without quorum is still asked what EtcdGuardian has', async () => {
      await nodeAt(0).etcd.put('/registry/secrets/etcd-guardian-system/etcdguardian-authority', 'ours');
      const gone = [nodeAt(0), nodeAt(1)];
      await eventually('all have it', async () => {
        const found = await Promise.all(
          scene.nodes.map(({ etcd }) =>
            etcd.client.range('/registry/secrets/etcd-guardian-system/etcdguardian-authority'),
          ),
        );
        return found.every(({ kvs }) => kvs.length === 1);
      });
      for (const { pods } of gone) {
        pods.breakPod('etcd.yaml', true);
        await pods.kill('etcd.yaml');
      }
      const { own } = await person.cli.json(planned, person.restore);
      for (const { pods } of gone) pods.breakPod('etcd.yaml', false);
      assert.match(own.message, /is kept as it is in the etcd of node-3 .*which has no quorum/);
      assert.equal(own.objects, 1);
      await scene.serving();
    });

    scenery('a node that is left out is replaced by the runbook, and has what the others have', async () => {
      const known = await writeNewer(scene, 'of before the loss');
      const lost = nodeAt(2);
      await lost.powerOff();
      const { outcome: end, operation } = await person.cli.json(outcome, [
        ...person.restore,
        ...['--without', lost.name, '--yes'],
      ]);
      assert.equal(end, 'restored');
      const left = scene.nodes.filter((node) => node !== lost);
      assert.equal(await judgeMembers({ nodes: left }, known), 'restored');
      await cleanUp(left, operation);

      const manifest = join(lost.pods.folder, 'etcd.yaml');
      const { spec } = JSON.parse(await readFile(manifest, 'utf8')) as Manifest;
      await rm(manifest);
      const reader = await operator(scene.folder, [
        ['https://127.0.0.1:2379', nodeAt(0).etcd.endpoint],
        ['/etc/kubernetes/pki/etcd/', `${nodeAt(0).pki.folder}/`],
        ['https://10.0.0.1:2380', `https://${lost.place.address}:2380`],
        ['cp1', lost.member],
        ['/var/lib/etcd', lost.dirs.dataDir],
        // It is not listed any more.
        [/^etcdctl member remove .*$/gm, ''],
      ]);
      assert.doesNotMatch(await reader.next(10), new RegExp(lost.member));
      await reader.next(10);
      const added = await reader.next(10);
      reader.done(10);
      const [, initialCluster = ''] = /ETCD_INITIAL_CLUSTER="([^"]+)"/.exec(added) ?? [];
      const command = spec.containers[0].command
        .filter((arg) => !arg.startsWith('--initial-cluster'))
        .concat(`--initial-cluster=${initialCluster}`, '--initial-cluster-state=existing');
      await lost.pods.add('etcd.yaml', command);
      await lost.powerOn();
      assert.equal(await judgeMembers(scene, known), 'restored');
      await rm(`${lost.dirs.dataDir}.before`, { recursive: true });
      // And it is one of three again.
      const again = await writeNewer(scene, 'of behind the loss');
      const { outcome: second, operation: next } = await person.cli.json(outcome, [
        ...person.restore,
        '--yes',
      ]);
      assert.equal(second, 'restored');
      await judged(again, 'restored', next);
    });

    const judged = async (known: KnownData, as: string, restored?: string): Promise<void> => {
      await scene.serving();
      assert.equal(await judgeMembers(scene, known), as);
      if (restored !== undefined) await cleanUp(scene.nodes, restored);
    };

    for (const [name, work] of sample(scenes, 1, 'scenes by hand')) test(name, work);
  },
);

interface Manifest {
  readonly spec: { readonly containers: readonly [{ readonly command: readonly string[] }] };
}

async function haltedOf(command: ServerProcess, halted: Promise<void>): Promise<void> {
  const early = command.exited.then((how) => {
    throw new Error(`it ended too early (${how}): ${command.output()}`);
  });
  await Promise.race([halted, early]);
  early.catch(() => undefined);
}

function operationOf(command: ServerProcess): string {
  return /restore (cli-[0-9a-f-]+) of/.exec(command.output())?.[1] ?? '';
}
