import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type AdmissionScene,
  CONTROL_PLANE,
  customResource,
  resourcePath,
  startAdmissionScene,
  TENANT_BACKUP,
} from '../harness/admission-scene.ts';
import { eventually } from '../harness/eventually.ts';
import { KUBERNETES_VERSIONS } from '../harness/kube-apiserver.ts';
import type { ApiResponse } from '../harness/kube-request.ts';
import { sample } from '../harness/sampling.ts';
import { needs } from '../harness/tools.ts';
import type { Attack } from './attack.ts';
import { CRAFTED_RESOURCES } from './crafted-resources.ts';
import { RIGHTS_ATTACKS } from './rights-attacks.ts';

const FLOOR = [...RIGHTS_ATTACKS, ...CRAFTED_RESOURCES].filter(({ floor }) => floor === true);

for (const version of sample(KUBERNETES_VERSIONS, 1, 'floor'))
  describe(
    `without the webhook, Kubernetes ${version}`,
    needs(`kube-apiserver ${version}`, 'kubectl', 'etcd'),
    () => {
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
      const attack = ({ by = 'alice', kind = 'EtcdBackup', spec, metadata }: Attack): Promise<ApiResponse> =>
        create(by, kind, 'attack', spec, metadata, '?dryRun=All');
      const created = async (...what: Parameters<typeof create>): Promise<unknown> => {
        const { status, message, body } = await create(...what);
        assert.equal(status, 201, message);
        return body;
      };
      const forbidden = ({ status, message }: ApiResponse, why: RegExp): void => {
        assert.equal(status, 403, message);
        assert.match(message, why);
      };

      before(async () => {
        scene = await startAdmissionScene({ version });
        await created('alice', 'EtcdBackup', 'own', TENANT_BACKUP);
        await created('alice', 'EtcdBackup', 'other', TENANT_BACKUP);
        await created('alice', 'EtcdBackupSchedule', 'stamped', {
          schedule: '@daily',
          backupTemplate: { spec: TENANT_BACKUP },
        });
        await created('admin', 'EtcdBackup', 'admins', { ...TENANT_BACKUP, namespaceSelector: {} });
      });
      after(async () => {
        await scene[Symbol.asyncDispose]();
      });

      test('webhook and policies agree on a stamp with everything that an authenticator says', async () => {
        await scene.kube.kubectl('create', 'serviceaccount', 'robot', '-n', 'team-a');
        const binding = ['--clusterrole=etcd-tenant', '--serviceaccount=team-a:robot'];
        await scene.kube.kubectl('create', 'rolebinding', 'robot', '-n', 'team-a', ...binding);
        const token = (await scene.kube.kubectl('create', 'token', 'robot', '-n', 'team-a')).trim();
        const robots = async (): Promise<ApiResponse> =>
          scene.as('admin', 'POST', resourcePath('etcdbackupschedules', 'team-a'), {
            ...{
              token,
              body: customResource('EtcdBackupSchedule', 'robots', {
                schedule: '@daily',
                backupTemplate: { spec: TENANT_BACKUP },
              }),
            },
          });
        const { message, body } = await eventually('the binding holds', async () => {
          const answer = await robots();
          return answer.message.includes('cannot create') ? undefined : answer;
        });
        const { spec } = body as { spec?: { requestedBy: { username: string; extra: object } } };
        assert.equal(spec?.requestedBy.username, 'system:serviceaccount:team-a:robot', message);
        assert.ok('authentication.kubernetes.io/credential-id' in spec.requestedBy.extra);
      });

      test('while it is only away nothing gets in, but what is there may go, and its status be told', async () => {
        await scene.stopWebhook();
        const { status, message } = await create('alice', 'EtcdBackup', 'away', TENANT_BACKUP);
        assert.equal(status, 500, message);
        assert.match(message, /failed calling webhook/);
        const gone = await scene.as('alice', 'DELETE', resourcePath('etcdbackups', 'team-a', 'other'));
        assert.equal(gone.status, 200, gone.message);
        const told = await patch(
          CONTROL_PLANE,
          'EtcdBackup',
          'own',
          { status: { phase: 'Failed' } },
          '/status',
        );
        assert.equal(told.status, 200, told.message);
        forbidden(
          await patch('alice', 'EtcdBackup', 'own', { status: { phase: 'Pending' } }, '/status'),
          /only the control plane/,
        );
      });

      describe('and without its registration', () => {
        before(async () => {
          await scene.removeWebhookConfigurations();
        });

        for (const one of FLOOR) {
          test(`${one.what}: refused`, async () => {
            const { status, message } = await attack(one);
            assert.ok(status === 403 || status === 422, `${status} ${message}`);
          });
        }

        test('a stamp is not forged, changed or removed, and nobody edits under that of another', async () => {
          const requestedBy = { username: 'admin', groups: ['system:masters'] };
          const forged = await create('alice', 'EtcdBackup', 'forged', { ...TENANT_BACKUP, requestedBy });
          forbidden(forged, /requestedBy is written at admission/);
          forbidden(
            await patch('alice', 'EtcdBackupSchedule', 'stamped', { spec: { requestedBy } }),
            /requestedBy/,
          );
          const removed = await patch('alice', 'EtcdBackupSchedule', 'stamped', {
            spec: { requestedBy: null },
          });
          assert.equal(removed.status, 422, removed.message);
          // The viewer may not read the Secret either; which policy says so first is open.
          for (const [editor, why] of [
            ['admin', /requestedBy/],
            ['viewer', /requestedBy|a Secret is named/],
          ] as const)
            forbidden(
              await patch(editor, 'EtcdBackupSchedule', 'stamped', { spec: { schedule: '@hourly' } }),
              why,
            );
        });

        test('finalizers come and go by the control plane and whoever has the right over all', async () => {
          const finalizers = { metadata: { finalizers: ['etcdguardian.io/stored-data'] } };
          forbidden(await patch('alice', 'EtcdBackup', 'own', finalizers), /finalizers of etcdguardian/);
          const set = await patch(CONTROL_PLANE, 'EtcdBackup', 'own', finalizers);
          assert.equal(set.status, 200, set.message);
          forbidden(
            await patch('alice', 'EtcdBackup', 'own', { metadata: { finalizers: null } }),
            /waits for stored data/,
          );
          assert.equal(
            (await patch('admin', 'EtcdBackup', 'own', { metadata: { finalizers: null } })).status,
            200,
          );
        });

        test('a drill of what is there is asked for by whoever may restore the cluster', async () => {
          const asking = { metadata: { annotations: { 'etcdguardian.io/drill': 'now' } } };
          forbidden(await patch('alice', 'EtcdBackup', 'own', asking), /needs verb restore/);
          assert.equal((await patch('admin', 'EtcdBackup', 'own', asking)).status, 200);
        });

        test('likewise of the runs of a schedule, and what asked before is asked no more', async () => {
          const ofRuns = (value: string, schedule = '@daily'): object => ({
            spec: {
              schedule,
              backupTemplate: { metadata: { annotations: { 'etcdguardian.io/drill': value } } },
            },
          });
          const change = (by: string, to: object): Promise<ApiResponse> =>
            patch(by, 'EtcdBackupSchedule', 'drilled', to);
          await created('admin', 'EtcdBackupSchedule', 'drilled', {
            schedule: '@daily',
            backupTemplate: { spec: TENANT_BACKUP },
          });
          forbidden(await change('alice', ofRuns('now')), /needs verb restore/);
          const given = await change('admin', ofRuns('now'));
          assert.equal(given.status, 200, given.message);
          forbidden(await change('alice', ofRuns('again')), /needs verb restore/);
          for (const kept of [ofRuns('now', '@weekly'), ofRuns('')]) {
            const { status, message } = await change('alice', kept);
            assert.equal(status, 200, message);
          }
        });

        test('what is right gets in, without a stamp: it runs nowhere but in our own namespace', async () => {
          const { spec } = (await created('alice', 'EtcdBackup', 'unstamped', TENANT_BACKUP)) as {
            spec: { requestedBy?: object };
          };
          assert.equal(spec.requestedBy, undefined);
        });
      });
    },
  );
