import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type AdmissionScene,
  CLUSTER_BACKUP,
  CONTROL_PLANE,
  customResource,
  resourcePath,
  startAdmissionScene,
  TENANT_BACKUP,
  untilAllowed,
} from '../harness/admission-scene.ts';
import { eventually } from '../harness/eventually.ts';
import { KUBE_PROGRAMS } from '../harness/kube-apiserver.ts';
import type { ApiResponse } from '../harness/kube-request.ts';
import { needs } from '../harness/tools.ts';
import type { Attack } from './attack.ts';
import { CRAFTED_RESOURCES } from './crafted-resources.ts';
import { RIGHTS_ATTACKS } from './rights-attacks.ts';

const ATTACKS = [...RIGHTS_ATTACKS, ...CRAFTED_RESOURCES];

interface Sent {
  readonly metadata: { readonly uid: string; readonly name: string; readonly finalizers?: readonly string[] };
  readonly spec: { readonly requestedBy?: { readonly username: string } } & Readonly<Record<string, unknown>>;
}

describe('a malicious tenant', needs(...KUBE_PROGRAMS), () => {
  let scene: AdmissionScene;
  const create = (
    by: string,
    kind: string,
    name: string,
    spec: object,
    metadata?: object,
    query = '',
  ): Promise<ApiResponse> =>
    scene.as(by, 'POST', `${resourcePath(`${kind.toLowerCase()}s`, 'team-a')}${query}`, {
      body: customResource(kind, name, spec, metadata),
    });
  const patch = (
    by: string,
    kind: string,
    name: string,
    change: object,
    subresource = '',
  ): Promise<ApiResponse> =>
    scene.as(by, 'PATCH', `${resourcePath(`${kind.toLowerCase()}s`, 'team-a', name)}${subresource}`, {
      ...{ body: change, contentType: 'application/merge-patch+json' },
    });
  const created = async (...what: Parameters<typeof create>): Promise<Sent> => {
    const { status, message, body } = await create(...what);
    assert.equal(status, 201, message);
    return body as Sent;
  };
  const attack = ({ by = 'alice', kind = 'EtcdBackup', spec, metadata }: Attack): Promise<ApiResponse> =>
    create(by, kind, 'attack', spec, metadata, '?dryRun=All');
  const forbidden = ({ status, message }: ApiResponse, why: RegExp): void => {
    assert.equal(status, 403, message);
    assert.match(message, why);
  };

  before(async () => {
    scene = await startAdmissionScene({
      policies: false,
      users: [{ name: 'restorer' }, { name: 'sweeper' }],
    });
    await scene.kube.kubectl(
      'create',
      'role',
      'restorer',
      '-n',
      'team-a',
      '--verb=create',
      '--resource=etcdrestores',
    );
    await scene.kube.kubectl(
      'create',
      'rolebinding',
      'restorer',
      '-n',
      'team-a',
      '--role=restorer',
      '--user=restorer',
    );
    await scene.kube.kubectl(
      'create',
      'role',
      'sweeper',
      '-n',
      'team-a',
      '--verb=delete',
      '--resource=etcdbackupschedules',
    );
    await scene.kube.kubectl(
      'create',
      'rolebinding',
      'sweeper',
      '-n',
      'team-a',
      '--role=sweeper',
      '--user=sweeper',
    );
    await untilAllowed(scene, 'restorer', 'create', 'team-a', 'etcdrestores');
    await untilAllowed(scene, 'sweeper', 'delete', 'team-a', 'etcdbackupschedules');
    await created('alice', 'EtcdBackup', 'own', TENANT_BACKUP);
    await created('admin', 'EtcdBackup', 'admins', CLUSTER_BACKUP);
    await created('admin', 'EtcdBackupSchedule', 'admins', {
      schedule: '@daily',
      backupTemplate: { spec: CLUSTER_BACKUP },
    });
  });
  after(async () => {
    await scene[Symbol.asyncDispose]();
  });

  for (const one of ATTACKS) {
    test(`${one.what}: refused`, async () => {
      const { status, message } = await attack(one);
      assert.match(message, one.refused);
      assert.ok(status === 403 || status === 422, `${status}`);
    });
  }

  test('says that someone else asked: it is he who did', async () => {
    const forged = { ...TENANT_BACKUP, requestedBy: { username: 'admin', groups: ['system:masters'] } };
    const { spec } = await created('alice', 'EtcdBackup', 'forged', forged);
    assert.equal(spec.requestedBy?.username, 'alice');
  });

  test('changes or removes the stamp of his schedule: it stays', async () => {
    await created('alice', 'EtcdBackupSchedule', 'stamped', {
      schedule: '@daily',
      backupTemplate: { spec: TENANT_BACKUP },
    });
    for (const requestedBy of [{ username: 'admin', groups: ['system:masters'] }, null]) {
      const { status, message, body } = await patch('alice', 'EtcdBackupSchedule', 'stamped', {
        spec: { requestedBy },
      });
      assert.equal(status, 200, message);
      assert.deepEqual((body as Sent).spec.requestedBy, {
        username: 'alice',
        uid: 'uid-of-alice',
        groups: ['team-a', 'system:authenticated'],
      });
    }
  });

  test("changes an administrator's schedule, to run with his rights: it would run with his own, so he may not", async () => {
    const storageLocation = { ...CLUSTER_BACKUP.storageLocation, bucket: 'evil' };
    const change = { spec: { backupTemplate: { spec: { storageLocation } } } };
    forbidden(
      await patch('alice', 'EtcdBackupSchedule', 'admins', change),
      /"alice" may not backup etcdclusters/,
    );
    // What he may ask for he may also change to, and it is his from then on.
    const { body, message } = await patch('alice', 'EtcdBackupSchedule', 'admins', {
      spec: { backupTemplate: { spec: { namespaceSelector: TENANT_BACKUP.namespaceSelector } } },
    });
    assert.equal((body as Sent).spec.requestedBy?.username, 'alice', message);
  });

  test('removes the selector by an update', async () => {
    await created('alice', 'EtcdBackup', 'nightly', { ...TENANT_BACKUP, schedule: '@daily' });
    for (const namespaceSelector of [null, { matchLabels: null }])
      forbidden(
        await patch('alice', 'EtcdBackup', 'nightly', { spec: { namespaceSelector } }),
        /may not backup etcdclusters/,
      );
  });

  test('changes a backup that was admitted', async () => {
    const { status, message } = await patch('alice', 'EtcdBackup', 'own', {
      spec: { deletionPolicy: 'Delete' },
    });
    assert.equal(status, 422, message);
  });

  test('writes a status by hand', async () => {
    const status = { phase: 'Completed', snapshotLocation: 's3://evil/x' };
    forbidden(await patch('alice', 'EtcdBackup', 'own', { status }, '/status'), /may not write the status/);
    forbidden(await patch('admin', 'EtcdBackup', 'own', { status }, '/status'), /may not write the status/);
    assert.equal(
      (await patch(CONTROL_PLANE, 'EtcdBackup', 'own', { status: { phase: 'Running' } }, '/status')).status,
      200,
    );
  });

  test('asks for a drill of a backup that is there; what else he annotates is his business', async () => {
    const asking = (value: string | null): object => ({
      metadata: { annotations: { 'etcdguardian.io/drill': value, note: 'mine' } },
    });
    await created('alice', 'EtcdBackup', 'drilled', TENANT_BACKUP);
    forbidden(await patch('alice', 'EtcdBackup', 'drilled', asking('now')), /may not restore etcdclusters/);
    for (const [by, value] of [
      ['admin', 'now'],
      ['alice', 'now'],
      ['alice', null],
    ] as const) {
      const { status, message } = await patch(by, 'EtcdBackup', 'drilled', asking(value));
      assert.equal(status, 200, message);
    }
  });

  test('deletes a schedule, so that garbage collection takes runs that he may not delete', async () => {
    const path = resourcePath('etcdbackupschedules', 'team-a', 'admins');
    forbidden(
      await scene.as('sweeper', 'DELETE', `${path}?dryRun=All`),
      /may not delete etcdbackups\.etcdguardian\.io/,
    );
    const orphaning = await scene.as('sweeper', 'DELETE', `${path}?dryRun=All&propagationPolicy=Orphan`);
    assert.equal(orphaning.status, 200, orphaning.message);
  });

  test('takes a finalizer away, so that his data stays where it was to be removed', async () => {
    await created('alice', 'EtcdBackup', 'final', { ...TENANT_BACKUP, deletionPolicy: 'Delete' });
    const finalizers = { metadata: { finalizers: ['etcdguardian.io/stored-data'] } };
    assert.equal((await patch(CONTROL_PLANE, 'EtcdBackup', 'final', finalizers)).status, 200);
    forbidden(
      await patch('alice', 'EtcdBackup', 'final', { metadata: { finalizers: null } }),
      /finalizer etcdguardian\.io\/stored-data waits/,
    );
    assert.equal(
      (await patch('admin', 'EtcdBackup', 'final', { metadata: { finalizers: null } })).status,
      200,
    );
  });

  test('a run is admitted only with the stamp of its live schedule, and only while its requester has the rights', async () => {
    const schedule = await created('alice', 'EtcdBackupSchedule', 'parent', {
      schedule: '@daily',
      backupTemplate: { spec: TENANT_BACKUP },
    });
    const run = (
      name: string,
      requestedBy: object | undefined,
      uid = schedule.metadata.uid,
    ): Promise<ApiResponse> =>
      create(
        CONTROL_PLANE,
        'EtcdBackup',
        name,
        { ...TENANT_BACKUP, requestedBy },
        {
          ownerReferences: [
            {
              apiVersion: 'etcdguardian.io/v1alpha1',
              kind: 'EtcdBackupSchedule',
              name: 'parent',
              uid,
              controller: true,
            },
          ],
        },
      );
    const stamp = schedule.spec.requestedBy;
    forbidden(
      await run('parent-1', { username: 'admin', groups: ['system:masters'] }),
      /someone else than the stamp/,
    );
    forbidden(await run('parent-2', stamp, 'another'), /another one than its owner reference says/);
    const first = await run('parent-3', stamp);
    assert.equal(first.status, 201, first.message);
    assert.deepEqual((first.body as Sent).spec.requestedBy, stamp);
    // Without an owner it isn't a run, and the control plane itself may back up nothing.
    forbidden(
      await create(CONTROL_PLANE, 'EtcdBackup', 'loose', TENANT_BACKUP),
      /etcdguardian-controlplane" may not/,
    );

    await scene.kube.kubectl('delete', 'rolebinding', 'tenant', '-n', 'team-a');
    const late = await eventually('the API server forgets the rights', async () => {
      const answer = await run(`parent-${Date.now()}`, stamp);
      return answer.status === 201 ? undefined : answer;
    });
    forbidden(late, /user "alice" may not get/);
    await scene.kube.kubectl(
      'create',
      'rolebinding',
      'tenant',
      '-n',
      'team-a',
      '--clusterrole=etcd-tenant',
      '--user=alice',
    );
  });

  test('every decision is a line of the audit log', () => {
    const decisions = scene.log.filter(({ event }) => event === 'audit');
    assert.ok(decisions.length > ATTACKS.length);
    const denied = decisions.find(
      ({ result, reason }) => result === 'denied' && reason === 'admission.forbidden',
    );
    assert.partialDeepStrictEqual(denied, { audit: true, level: 'warning', who: { username: 'alice' } });
  });

  test('metrics carry no name that a tenant chose', async () => {
    const text = await (await fetch(`${scene.pages}/metrics`)).text();
    assert.match(
      text,
      /etcdguardian_admission_requests_total\{hook="validate",kind="EtcdBackup",operation="CREATE",result="denied"\} \d+/,
    );
    assert.doesNotMatch(text, /alice|team-a|forged/);
  });
});
