import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { type RestoreScene, startRestoreScene } from '../../agent/restore/restore-scene.fixture.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { sample } from '../harness/sampling.ts';
import { snapshotStatus } from '../harness/snapshot-judges.ts';
import { ETCD_VERSIONS, needs } from '../harness/tools.ts';

const answer = z.object({ operation: z.string(), state: z.string(), previousDataDir: z.string() });

interface NodeScene {
  readonly scene: RestoreScene;
  readonly cli: GuardianCli;
  readonly store: readonly string[];
  readonly restore: readonly string[];
}

/** A node with etcd as a static pod, and a backup of an older state in a store. */
async function nodeScene(scene: RestoreScene): Promise<NodeScene> {
  const { folder, endpoint, pods } = scene;
  const cli = guardianCli(folder, {
    ETCDGUARDIAN_MANIFESTS_DIR: pods.folder,
    ETCDGUARDIAN_UNIT_DIRS: folder.join('units'),
    ETCDGUARDIAN_K3S_DIR: folder.join('rancher'),
    ETCDGUARDIAN_STATE_DIR: folder.join('by-hand'),
  });
  await scene.put('/registry/a', 'old');
  const store = [...localStoreOptions(folder), '--cluster', 'test'];
  await cli.json(backupAnswer, ['backup', 'create', '--endpoints', endpoint, ...store, '--proof', 'off']);
  await scene.put('/registry/a', 'new');
  return { scene, cli, store, restore: ['restore', 'node', ...store] };
}

const WAYS = ETCD_VERSIONS.flatMap((version) =>
  [true, false].map((separateWal) => ({ version, separateWal })),
);

for (const { version, separateWal } of sample(WAYS, 1, 'nodes by hand')) {
  test(
    `a node is restored with nothing alive but its disk and the store (etcd ${version}${separateWal ? ', its log elsewhere' : ''})`,
    needs(`etcd ${version}`, 'versitygw', 'etcdutl 3.6.16'),
    async () => {
      await using scene = await startRestoreScene({ version, separateWal, agent: 'apart' });
      const { cli, restore } = await nodeScene(scene);

      const planned = await cli.run(restore);
      assert.equal(planned.status, 0, planned.stderr);
      assert.match(planned.stdout, /Nothing was done/);
      assert.match(planned.stderr, /revisions? NEWER than the restore point|up to \d+ revision/);
      assert.equal(await scene.get('/registry/a'), 'new');

      const done = await cli.json(answer, [...restore, '--yes']);
      assert.equal(done.state, 'Resumed');
      assert.equal(await scene.get('/registry/a'), 'old');
      assert.ok(existsSync(join(done.previousDataDir, 'member', 'snap', 'db')));
      const rescued = join(done.previousDataDir, '..', 'rescued.db');
      assert.ok((await snapshotStatus('3.6.16', rescued)).totalKey > 0);

      // A second one is another one, and may be gone back from no more once it is through.
      await cli.fails(1, 'restore.order', [...restore, '--roll-back']);
      await cli.run([...restore, '--clean-up']);
      assert.equal(existsSync(done.previousDataDir), false);
    },
  );
}

test(
  'what is interrupted goes on by the same command, or back',
  needs('etcd 3.6.16', 'versitygw'),
  async () => {
    await using scene = await startRestoreScene({ agent: 'apart' });
    const { cli, restore } = await nodeScene(scene);
    // The new etcd doesn't come up.
    scene.pods.breakPod('etcd.yaml', true);
    const stuck = await cli.fails(1, 'restore.not-serving', [...restore, '--yes', '--wait', '1ms']);
    assert.match(stuck, /run the same command again to go on/);
    const told = await cli.run(restore);
    assert.match(told.stderr, /under way on this node \(Starting\)/);
    scene.pods.breakPod('etcd.yaml', false);

    const back = await cli.run([...restore, '--roll-back']);
    assert.equal(back.status, 0, back.stderr);
    assert.equal(await scene.get('/registry/a'), 'new');
    await cli.fails(1, 'restore.order', [...restore, '--roll-back']);

    scene.pods.breakPod('etcd.yaml', true);
    const again = await cli.run([...restore, '--yes', '--wait', '1ms']);
    assert.equal(again.status, 1, again.stderr);
    scene.pods.breakPod('etcd.yaml', false);
    const done = await cli.json(answer, [...restore, '--yes']);
    assert.equal(done.state, 'Resumed');
    assert.equal(await scene.get('/registry/a'), 'old');
  },
);

test(
  'a run that is killed while it stages leaves nothing stopped, and the next one begins anew',
  needs('etcd 3.6.16', 'versitygw'),
  async () => {
    await using scene = await startRestoreScene({ agent: 'apart' });
    const { cli, restore } = await nodeScene(scene);
    const first = await cli.start([...restore, '--yes']);
    const journals = scene.folder.join('by-hand', 'restores-by-hand');
    await eventually('it is journaled', async () =>
      (await readdir(journals).catch(() => [])).some((name) => name.endsWith('.json')),
    );
    await first.kill();
    // Wherever that was.
    const done = await cli.json(answer, [...restore, '--yes']);
    assert.equal(done.state, 'Resumed');
    assert.equal(await scene.get('/registry/a'), 'old');
  },
);
