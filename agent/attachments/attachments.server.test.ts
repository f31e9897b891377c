import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { systemClock } from '../../lib/clock.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { synthesizeBase } from '../../lib/repository/synthesize-base.ts';
import { restoreNodeFiles } from '../../lib/restore/attachments/restore-node-files.ts';
import { storedNodeFiles } from '../../lib/restore/attachments/stored-node-files.ts';
import { openStore } from '../../lib/storage/open-store.ts';
import { parseStoreUrl } from '../../lib/storage/store-url.ts';
import { repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { type AgentScene, allOf, type RunningAgent, startAgentScene } from '../agent-scene.fixture.ts';

let scene: AgentScene;
let agent: RunningAgent;
/** The node's own, with an empty prefix in place of `/`. */
let kubernetes: string;

before(async () => {
  scene = await startAgentScene();
  kubernetes = scene.folder.join('etc-kubernetes');
  await mkdir(`${kubernetes}/pki`, { recursive: true });
  await writeFile(`${kubernetes}/pki/sa.key`, 'signs tokens', { mode: 0o600 });
  agent = await scene.start('state', {
    ETCDGUARDIAN_ATTACHMENTS: 'true',
    ETCDGUARDIAN_ATTACHMENT_PATHS: kubernetes,
  });
});

after(() => scene[Symbol.asyncDispose]());

async function stored(prefix: string, keys = true): Promise<Repository> {
  const { s3 } = scene;
  const settings = parseStoreUrl(`s3://backups/${prefix}?endpoint=${s3.endpoint}&region=${s3.region}`);
  assert.ok(settings.kind === 's3');
  const { accessKeyId, secretAccessKey } = s3;
  const credentials = { kind: 'static', accessKeyId, secretAccessKey } as const;
  const store = await openStore({ ...settings, credentials }, { clock: systemClock });
  return openRepository(repositorySettings(store, keys ? { ...testKeys() } : {}));
}

async function newest(repository: Repository): Promise<SoundBackup> {
  const [cluster = ''] = await repository.listClusters();
  return (await repository.find(cluster, 'latest')).backup;
}

test("a backup takes the node's files along, encrypted, and they come back on an empty disk", async () => {
  const client = scene.client(agent.port);
  const { term } = await client.takeTerm({ holder: 'test' });
  await allOf(client.takeBackup(scene.request('with-files', term)));
  const repository = await stored('with-files');
  const backup = await newest(repository);
  assert.deepEqual(
    storedNodeFiles(backup).map(({ node, content }) => [node, content.recipients.length > 0]),
    [['node-1', true]],
  );
  assert.equal(backup.manifest.attachmentsLeftOut, undefined);
  const verified = await repository.verifyBackup(backup, { depth: 'deep' });
  assert.deepEqual([verified.sound, verified.problems], [true, []]);

  await using root = await temporaryFolder();
  const request = { backup, root: root.path, overwrite: false };
  const { files, added } = await restoreNodeFiles(request, { repository, clock: systemClock });
  assert.equal(files.node, 'node-1');
  assert.equal(await readFile(root.join(`${kubernetes}/pki/sa.key`), 'utf8'), 'signs tokens');
  // What etcd's manifest names went along, too.
  assert.ok(
    added.some((path) => path.endsWith('.crt') || path.endsWith('.pem')),
    added.join(' '),
  );
  await assert.rejects(restoreNodeFiles({ ...request, node: 'node-2' }, { repository, clock: systemClock }), {
    code: 'attachments.node',
  });
});

test('a backup without a key goes without them, and says so', async () => {
  const client = scene.client(agent.port);
  const { term } = await client.takeTerm({ holder: 'test' });
  await allOf(client.takeBackup(scene.request('no-key', term, { keys: undefined })));
  const backup = await newest(await stored('no-key', false));
  assert.deepEqual(backup.manifest.attachments, []);
  assert.match(backup.manifest.attachmentsLeftOut ?? '', /never stored unencrypted/);
  assert.ok(agent.lines.some((line) => line.includes('never stored unencrypted')));
});

test('the base of a capture has them, and so has one that is merged out of it', async () => {
  const client = scene.client(agent.port);
  const { term } = await client.takeTerm({ holder: 'test' });
  const { store, keys, cluster } = scene.request('captured', term);
  const fence = { operation: 'captured', term };
  await client.startCapture({ fence, store, keys, cluster, sealIntervalMs: 200 });
  const repository = await stored('captured');
  const base = await eventually('there is a base', async () => {
    const [found] = await repository.listClusters();
    return found === undefined ? undefined : await newest(repository).catch(() => undefined);
  });
  assert.deepEqual(
    storedNodeFiles(base).map(({ node }) => node),
    ['node-1'],
  );
  for (let at = 0; at < 5; at++) await scene.etcd.etcdctl('put', `/after/${at}`, 'x');
  const { revision } = await scene.etcd.status();
  await eventually('all of it is stored', async () => {
    const { captures } = await client.describe({});
    return captures.some(({ storedRevision }) => storedRevision >= revision);
  });
  await client.stopCapture({ fence });
  const point = await repository.points.find(base.cluster, { kind: 'latest' });
  assert.ok(point.revision > base.manifest.snapshot.currentRevision);
  await using scratch = await temporaryFolder();
  const log = repository.segments;
  const made = await synthesizeBase(point, { repository, log, folder: scratch.path });
  assert.deepEqual(
    storedNodeFiles(made).map(({ node }) => node),
    ['node-1'],
  );
  await using root = await temporaryFolder();
  await restoreNodeFiles(
    { backup: made, root: root.path, overwrite: false },
    { repository, clock: systemClock },
  );
  assert.equal(await readFile(root.join(`${kubernetes}/pki/sa.key`), 'utf8'), 'signs tokens');
});
