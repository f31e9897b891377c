import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openTaskRepository } from '../../lib/backup/task/task-repository.ts';
import { CLUSTER } from '../../lib/pki/installation.fixture.ts';
import type { PartRecord } from '../../lib/repository/part-records.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { needs } from '../../test/harness/tools.ts';
import { type AgentScene, allOf, startAgentScene } from '../agent-scene.fixture.ts';

const SCOPES = [
  {
    namespace: 'prod',
    resources: ['configmaps', 'services/specs', 'secrets', 'example.com/widgets'],
    namespaceObject: true,
  },
];
const json = (kind: string): string => `{"apiVersion":"v1","kind":"${kind}","metadata":{}}`;

describe('an agent asked for namespaces', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: AgentScene;
  before(async () => {
    scene = await startAgentScene();
    const put = async (key: string, value: string): Promise<void> => {
      await scene.etcd.etcdctl('put', `/registry/${key}`, value);
    };
    for (const key of ['configmaps/prod/a', 'configmaps/prod-2/b', 'configmaps/pro/c', 'configmaps/test/d'])
      await put(key, json('ConfigMap'));
    await put('services/specs/prod/web', json('Service'));
    await put('secrets/prod/plain', json('Secret'));
    await put('secrets/prod/sealed', 'k8s:enc:aescbc:v1:k1:xxx');
    await put('secrets/prod/zlast', json('Secret'));
    await put('example.com/widgets/prod/w', json('Widget'));
    await put('deployments/prod/not-asked-for', json('Deployment'));
    await put('namespaces/prod', json('Namespace'));
    await put('namespaces/test', json('Namespace'));
  });
  after(() => scene[Symbol.asyncDispose]());

  const repositoryOf = async (prefix: string): Promise<Repository> => {
    const { s3, folder } = scene;
    const { repository } = await openTaskRepository(
      {
        location: { provider: 'S3', bucket: 'backups', prefix, region: s3.region, endpoint: s3.endpoint },
        secret: {
          values: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
          from: 's3',
        },
        keys: { encryption: Buffer.alloc(32, 7), encryptionFrom: 'k', signing: Buffer.alloc(0) },
      },
      {
        ...{ clock: () => new Date(), knownPoints: undefined, onWarning: () => undefined },
        spool: { folder: folder.path, memoryBytes: 1 << 20, diskBytes: 1 << 24 },
        signal: new AbortController().signal,
      },
    );
    return repository;
  };

  test('reads what it is allowed, at one revision, and tells which kinds it can’t read', async () => {
    const agent = await scene.start('reading');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const { store, keys, cluster } = scene.request('ns', term);
    const place = { timeline: '000001', backupId: '20261122T053000Z-9f3ac1d0' };
    const fence = { operation: 'ns', term };
    const updates = await allOf(
      client.backUpNamespaces({ fence, store, keys, cluster, ...place, namespaces: SCOPES }),
    );
    const told = updates.at(-1)?.namespaces;
    assert.ok(told?.part);
    const { revision } = await scene.etcd.status();
    assert.deepEqual([told.revision, told.encryptedResources], [revision, ['secrets']]);
    assert.deepEqual(await keysOf(await repositoryOf('ns'), place, told.part, told.objects), [
      ...['namespaces/prod', 'configmaps/prod/a', 'services/specs/prod/web', 'secrets/prod/plain'],
      'example.com/widgets/prod/w',
    ]);
    const odd = [{ namespace: '../x', resources: ['configmaps'], namespaceObject: true }];
    await assert.rejects(
      allOf(
        client.backUpNamespaces({
          fence: { operation: 'odd', term },
          store,
          keys,
          cluster,
          ...place,
          namespaces: odd,
        }),
      ),
      { code: 'agent.request' },
    );
    await agent.stop();
  });

  test('takes them out of a backup of the whole cluster, too', async () => {
    const agent = await scene.start('extracting');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const made = (await allOf(client.takeBackup(scene.request('whole', term)))).at(-1)?.backup;
    assert.ok(made?.point);
    await scene.etcd.etcdctl('del', '/registry/configmaps/prod/a');
    const { store, keys, cluster } = scene.request('whole', term);
    const place = { timeline: made.point.timeline, backupId: '20261122T053000Z-9f3ac1d1' };
    const updates = await allOf(
      client.backUpNamespaces({
        ...{ fence: { operation: 'out', term }, store, keys, cluster, ...place },
        ...{ namespaces: [{ namespace: 'prod' }], point: made.point },
      }),
    );
    const told = updates.at(-1)?.namespaces;
    assert.ok(told?.part);
    assert.equal(told.revision, made.point.revision);
    const found = await keysOf(await repositoryOf('whole'), place, told.part, told.objects);
    assert.equal(found.length, 8);
    assert.ok(found.includes('configmaps/prod/a') && found.includes('deployments/prod/not-asked-for'));
    assert.equal(
      found.some((key) => /prod-2|test|\/pro\//.test(key)),
      false,
    );
    await agent.stop();
  });
});

interface ToldPart {
  readonly name: string;
  readonly plainSize: number;
  readonly plainSha256: string;
  readonly storedSize: number;
  readonly storedSha256: string;
}

async function keysOf(
  { namespaces }: Repository,
  { timeline, backupId: id }: { readonly timeline: string; readonly backupId: string },
  { storedSha256: sha256, ...told }: ToldPart,
  objects: number,
): Promise<string[]> {
  const place = { cluster: CLUSTER, timeline, id };
  const part = namespaces.describePart(place, { ...told, sha256, objects, kind: 'etcd' });
  const records: PartRecord[] = [];
  for await (const record of namespaces.readPart(place, part)) records.push(record);
  assert.equal(records.length, objects);
  return records.map(({ key }) => key);
}
