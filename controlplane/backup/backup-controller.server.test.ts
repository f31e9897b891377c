import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../../test/harness/etcd-content.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import { NAMESPACES, SECRETS } from '../core-resources.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type BackupScene, type Replica, startBackupScene } from './backup-scene.fixture.ts';

describe('an EtcdBackup', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: BackupScene;
  let replica: Replica;
  const stack = new AsyncDisposableStack();

  before(async () => {
    scene = stack.use(await startBackupScene());
    await fillWithNoise(scene.etcd, 1, testRandom('an EtcdBackup'));
    replica = stack.use(scene.start());
  });
  after(() => stack.disposeAsync());

  const failed = async (name: string): Promise<NonNullable<EtcdBackup['status']>> => {
    const { status } = await scene.ended(name);
    assert.equal(status?.phase, 'Failed', status?.message ?? '');
    return status;
  };
  const remove = (name: string): Promise<void> =>
    scene.installation.kube.delete({ resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name });
  const gone = (name: string): Promise<boolean> =>
    eventually(`${name} is gone`, async () => {
      try {
        await scene.get(name);
        return false;
      } catch (error) {
        return hasCode(error, 'kubernetes.not-found');
      }
    });

  test('of an etcd without an agent completes, and its status tells everything', async () => {
    await scene.create('once', { validation: { enabled: true, consistencyCheck: true } });
    const { status, metadata } = await scene.ended('once');
    assert.equal(status?.phase, 'Completed', replica.lines.map(({ message }) => message).join('\n'));
    const { revision, memberId } = await scene.etcd.status();
    assert.equal(status.etcdRevision, Number(revision));
    assert.equal(status.source?.member, memberId.toString(16));
    assert.deepEqual([status.source.operation, status.source.attempts], [metadata.uid, 1]);
    assert.deepEqual([status.effectiveMode, status.observedGeneration], ['Full', 1]);
    assert.deepEqual(
      [status.validationResult?.verdict, status.validationResult?.proof],
      ['Sound', 'LiveHash'],
    );
    assert.match(status.snapshotLocation ?? '', /^s3:\/\/backups\/main\/clusters\/etcd-.*\/chains\//);
    const conditions = Object.fromEntries((status.conditions ?? []).map((one) => [one.type, one.status]));
    const good = { Admitted: 'True', Progressing: 'False', Stored: 'True', Validated: 'True', Ready: 'True' };
    assert.deepEqual(conditions, good);
    await eventually('events tell', async () => {
      const events = await scene.installation.server.kubectl('get', 'events', '-n', NAMESPACE);
      return events.includes('BackupStarted') && events.includes('BackupCompleted');
    });
  });

  test('with Velero says that this isn’t done yet, and is completed otherwise', async () => {
    await scene.create('with-velero', { veleroIntegration: { enabled: true } });
    const { status } = await scene.ended('with-velero');
    const velero = status?.conditions?.find(({ type }) => type === 'VeleroCompleted');
    assert.deepEqual(
      [status?.phase, velero?.status, velero?.reason],
      ['Completed', 'False', 'NotYetSupported'],
    );
  });

  test('whose Secret is missing, empty or malformed fails with the Secret’s name and a way out', async () => {
    await scene.putSecret('empty', {});
    await scene.putSecret('half', { 'access-key-id': 'x' });
    await scene.putSecret('two', { a: 'x', b: 'y' });
    const at = (credentialsSecret: string): object => ({
      storageLocation: { ...scene.location(), credentialsSecret },
    });
    const encrypted = { encryption: { enabled: true, encryptionSecret: 'two' } };
    await scene.create('no-secret', at('absent'));
    await scene.create('empty-secret', at('empty'));
    await scene.create('half-secret', at('half'));
    await scene.create('no-key', encrypted);
    const expected = [
      [
        'no-secret',
        'controlplane.secret-missing',
        /Secret etcd-guardian-system\/absent doesn't exist; storageLocation/,
      ],
      [
        'empty-secret',
        'controlplane.secret-malformed',
        /Secret etcd-guardian-system\/empty has no keys for the store/,
      ],
      ['half-secret', 'store.settings', /Secret etcd-guardian-system\/half has no secret-access-key/],
      ['no-key', 'controlplane.secret-malformed', /Secret etcd-guardian-system\/two has no key keys.json/],
    ] as const;
    for (const [name, reason, message] of expected) {
      const status = await failed(name);
      assert.equal(status.reason, reason);
      assert.match(status.message ?? '', message);
    }
  });

  test('reads a rotated Secret anew for each run, and no secret reaches log or status', async () => {
    const { s3 } = scene;
    await scene.putSecret('rotated', { 'access-key-id': s3.accessKeyId, 'secret-access-key': 'not-the-one' });
    const spec = { storageLocation: { ...scene.location('rotated'), credentialsSecret: 'rotated' } };
    await scene.create('wrong-key', spec);
    const status = await failed('wrong-key');
    assert.equal(status.reason, 'store.denied');
    await scene.putSecret('rotated', {
      ...{ 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
    });
    await scene.create('right-key', spec);
    assert.equal((await scene.ended('right-key')).status?.phase, 'Completed');
    const told = JSON.stringify([replica.lines, await scene.get('right-key'), status]);
    for (const secret of ['not-the-one', s3.secretAccessKey]) assert.equal(told.includes(secret), false);
  });

  test('that nobody is known to have asked for is not made outside our own namespace', async () => {
    const { kube } = scene.installation;
    await kube.create(NAMESPACES, undefined, { metadata: { name: 'team-a' } });
    const { spec } = await scene.get('once');
    const body = {
      apiVersion: 'etcdguardian.io/v1alpha1',
      kind: 'EtcdBackup',
      metadata: { name: 'theirs' },
      spec,
    };
    await kube.create(ETCD_BACKUP_RESOURCE, 'team-a', body);
    const stamped = { ...spec, requestedBy: { username: 'mallory' } };
    await kube.create(ETCD_BACKUP_RESOURCE, 'team-a', {
      ...body,
      metadata: { name: 'stamped' },
      spec: stamped,
    });
    for (const [name, reason] of [
      ['theirs', 'controlplane.no-requester'],
      ['stamped', 'admission.forbidden'],
    ] as const)
      await eventually(`${name} failed`, async () => {
        const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: 'team-a', name };
        const { status } = await kube.get<EtcdBackup>(reference);
        return status?.phase === 'Failed' && status.reason === reason;
      });
    assert.ok(replica.lines.some(({ audit, result }) => audit === true && result === 'denied'));
  });

  test('that is cancelled while it runs fails so, and leaves nothing', async () => {
    scene.s3.pause();
    try {
      await scene.create('cancelled', { storageLocation: scene.location('cancelled') });
      await eventually('it runs', async () => (await scene.get('cancelled')).status?.step === 'Preparing');
      const patch = { metadata: { annotations: { 'etcdguardian.io/cancel': 'a mistake' } } };
      const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name: 'cancelled' };
      await scene.installation.kube.mergePatch(reference, patch);
      assert.equal((await failed('cancelled')).reason, 'controlplane.cancelled');
    } finally {
      scene.s3.resume();
    }
    assert.deepEqual(await scene.manifests('cancelled'), []);
  });

  test('goes on while the API server restarts, and tells afterwards', async () => {
    scene.s3.pause();
    try {
      await scene.create('restarted', { storageLocation: scene.location('restarted') });
      await eventually('it runs', async () => (await scene.get('restarted')).status?.step === 'Preparing');
      await scene.installation.server.restart();
    } finally {
      scene.s3.resume();
    }
    const { status, metadata } = await scene.ended('restarted');
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    assert.deepEqual(await scene.manifests('restarted'), [metadata.uid]);
  });

  test('with deletionPolicy Delete takes its data along, and without leaves it', async () => {
    const storageLocation = scene.location('deleted');
    for (const deletionPolicy of ['Delete', 'Retain']) {
      const name = `to-${deletionPolicy.toLowerCase()}`;
      await scene.create(name, { storageLocation, deletionPolicy });
      assert.equal((await scene.ended(name)).status?.phase, 'Completed');
    }
    const kept = await scene.get('to-retain');
    await remove('to-delete');
    await remove('to-retain');
    await gone('to-delete');
    await gone('to-retain');
    assert.deepEqual(await scene.manifests('deleted'), [kept.metadata.uid]);
  });

  test('whose data can’t be removed yet says so, and goes once it can', async () => {
    const { kube } = scene.installation;
    const { accessKeyId, secretAccessKey } = scene.s3;
    const keys = { 'access-key-id': accessKeyId, 'secret-access-key': secretAccessKey };
    await scene.putSecret('lent', keys);
    const storageLocation = { ...scene.location('held'), credentialsSecret: 'lent' };
    await scene.create('held', { storageLocation, deletionPolicy: 'Delete' });
    assert.equal((await scene.ended('held')).status?.phase, 'Completed');
    await kube.delete({ resource: SECRETS, namespace: NAMESPACE, name: 'lent' });
    await remove('held');
    const event = await eventually('it is told', async () => {
      const told = await scene.installation.events('held');
      return told.find((text) => text.startsWith('DataNotRemoved'));
    });
    assert.match(event, /can't be removed yet: .*lent/);
    await scene.putSecret('lent', keys);
    await gone('held');
    assert.deepEqual(await scene.manifests('held'), []);
  });
});
