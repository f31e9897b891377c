import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { CLUSTER } from '../../lib/pki/installation.fixture.ts';
import { eventually } from '../harness/eventually.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { KEY } from '../harness/many-nodes/disturb-restore.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { type ManyNodes, startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { testRandom } from '../harness/sampling.ts';
import { ETCD_VERSIONS } from '../harness/tools.ts';

const VERSIONS = ETCD_VERSIONS.filter((version) => !version.startsWith('3.4.'));
const version = testRandom('break-glass of many nodes').pick(VERSIONS);
const outcome = z.object({ outcome: z.string(), nodes: z.array(z.object({ state: z.string() })) });

describe(
  `three nodes without an API server (etcd ${version})`,
  needsNodes(`etcd ${version}`, 'versitygw'),
  () => {
    const stack = new AsyncDisposableStack();
    let scene: ManyNodes;
    let cli: GuardianCli;
    let store: readonly string[];

    before(async () => {
      scene = stack.use(await startManyNodes({ version }));
      const { folder, s3 } = scene;
      const key = folder.join('guardian.key');
      await writeFile(key, Buffer.alloc(32, 7), { mode: 0o600 });
      cli = guardianCli(folder, {
        AWS_ACCESS_KEY_ID: s3.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
      });
      process.env.AWS_ACCESS_KEY_ID = s3.accessKeyId;
      process.env.AWS_SECRET_ACCESS_KEY = s3.secretAccessKey;
      store = [
        ...['--store', 's3://backups/main', '--s3-endpoint', s3.endpoint, '--s3-region', s3.region],
        ...['--cluster', CLUSTER, '--key-file', key],
      ];
    });
    after(() => stack.disposeAsync());

    const write = async (value: string): Promise<void> => {
      await scene.nodes[0]?.etcd.put(KEY, value);
    };
    const everywhere = async (value: string): Promise<void> => {
      await scene.serving();
      for (const { name, etcd } of scene.nodes)
        await eventually(`${name} serves ${value}`, async () => {
          const { kvs } = await etcd.client.range(KEY);
          return Buffer.from(kvs[0]?.value ?? []).toString() === value;
        });
    };

    test('are restored as one by their agents, led by a person', async () => {
      await write('of the backup');
      await scene.backUp();
      await write('newer');
      const agents = scene.nodes.flatMap(({ name, place }) => ['--agent', `${name}=${place.address}`]);
      const who = [...agents, '--credentials', scene.controlPlaneFolder];
      const args = ['restore', 'cluster', ...who, ...store, '--no-quiesce'];
      const planned = await cli.run(args);
      assert.match(planned.stderr, /lost: 1 revision/, planned.stderr);
      const { outcome: end, nodes } = await cli.json(outcome, [...args, '--yes']);
      assert.equal(end, 'restored');
      assert.deepEqual(
        nodes.map(({ state }) => state),
        ['Resumed', 'Resumed', 'Resumed'],
      );
      await everywhere('of the backup');
    });

    test('are restored each by itself, with no agent left, and find each other by the store', async () => {
      await write('of the second backup');
      await scene.backUp();
      await write('newer still');
      await Promise.all(scene.nodes.map(({ agent }) => agent.kill()));
      const runs = await Promise.all(
        scene.nodes.map(({ place, folder, pods, name }) =>
          cli.start(['restore', 'node', ...store, '--no-quiesce', '--yes'], {
            within: place.within,
            env: {
              ETCDGUARDIAN_STATE_DIR: join(folder, `by-hand-${name}`),
              ETCDGUARDIAN_MANIFESTS_DIR: pods.folder,
              ETCDGUARDIAN_UNIT_DIRS: join(folder, 'units'),
              ETCDGUARDIAN_K3S_DIR: join(folder, 'rancher'),
            },
          }),
        ),
      );
      for (const run of runs) {
        const code = await run.exited;
        assert.equal(code, 0, run.output());
      }
      await everywhere('of the second backup');
    });
  },
);
