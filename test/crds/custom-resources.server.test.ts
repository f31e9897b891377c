import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { ETCD_BACKUP_SCHEDULE_RESOURCE } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { type KubeApiServer, KUBE_PROGRAMS, startKubeApiServer } from '../harness/kube-apiserver.ts';
import type { ApiResponse } from '../harness/kube-request.ts';
import { needs } from '../harness/tools.ts';
import { BACKUP_CASES, BACKUP_CHANGES } from './backup-cases.ts';
import type { Fields } from './cases.ts';
import { RESTORE_CASES, RESTORE_CHANGES } from './restore-cases.ts';
import { SCHEDULE_CASES, SCHEDULE_CHANGES } from './schedule-cases.ts';

const manifests = join(import.meta.dirname, '..', '..', 'manifests');
const API = '/apis/etcdguardian.io/v1alpha1/namespaces';
const KINDS = [
  { resource: ETCD_BACKUP_RESOURCE, cases: BACKUP_CASES, changes: BACKUP_CHANGES },
  { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, cases: SCHEDULE_CASES, changes: SCHEDULE_CHANGES },
  { resource: ETCD_RESTORE_RESOURCE, cases: RESTORE_CASES, changes: RESTORE_CHANGES },
] as const;

describe('custom resources in a real API server', needs(...KUBE_PROGRAMS), () => {
  let kube: KubeApiServer;
  before(async () => {
    kube = await startKubeApiServer();
    await kube.kubectl('apply', '--server-side', '-f', join(manifests, 'crds'));
    await kube.kubectl('wait', '--for=condition=Established', '--timeout=60s', '-f', join(manifests, 'crds'));
    for (const namespace of ['etcd-guardian-system', 'team-a'])
      await kube.kubectl('create', 'namespace', namespace);
  });
  after(async () => {
    await kube[Symbol.asyncDispose]();
  });

  const send = (
    method: string,
    resource: { plural: string; kind: string; apiVersion: string },
    name: string,
    fields: Fields,
    query = '',
  ): Promise<ApiResponse> => {
    const { plural, kind, apiVersion } = resource;
    const path = `${API}/default/${plural}${method === 'POST' ? '' : `/${name}`}?fieldValidation=Strict${query}`;
    return kube.request(method, path, { body: { apiVersion, kind, metadata: { name }, ...fields } });
  };

  test('the definitions hold no rule that the API server warns of', async () => {
    const list = await kube.kubectl('get', 'crds', '-o', 'json');
    const { items } = JSON.parse(list) as {
      items: { status: { conditions: { type: string; status: string }[] } }[];
    };
    assert.equal(items.length, 3);
    for (const { status } of items) {
      const wrong = status.conditions.filter(({ type }) => /NonStructural|Terminating/.test(type));
      assert.deepEqual(wrong, []);
    }
  });

  for (const file of readdirSync(join(manifests, 'examples'))) {
    test(`the example ${file} is accepted, and comes back as it was`, async () => {
      const path = join(manifests, 'examples', file);
      const example = parse(readFileSync(path, 'utf8')) as { spec: Fields };
      const args = ['--dry-run=server', '--validate=strict', '-o', 'json', '-f', path];
      const { spec } = JSON.parse(await kube.kubectl('create', ...args)) as { spec: Fields };
      assert.partialDeepStrictEqual(spec, example.spec);
    });
  }

  for (const { resource, cases } of KINDS) {
    for (const { what, name = 'case', spec, refused } of cases) {
      test(`${resource.kind} with ${what} is ${refused === undefined ? 'accepted' : 'refused'}`, async () => {
        const answer = await send('POST', resource, name, { spec }, '&dryRun=All');
        if (refused === undefined) assert.equal(answer.status, 201, answer.message);
        else {
          assert.notEqual(answer.status, 201);
          assert.match(answer.message, refused);
        }
      });
    }
  }

  for (const { resource, changes } of KINDS) {
    for (const [index, { what, before: old, after: changed, refused }] of changes.entries()) {
      test(`${resource.kind}: ${what}: ${refused === undefined ? 'accepted' : 'refused'}`, async () => {
        const name = `change-${index}`;
        const created = await send('POST', resource, name, { spec: old });
        assert.equal(created.status, 201, created.message);
        const { metadata } = created.body as { metadata: { resourceVersion: string } };
        const { resourceVersion } = metadata;
        const answer = await send('PUT', resource, name, {
          metadata: { name, resourceVersion },
          spec: changed,
        });
        if (refused === undefined) assert.equal(answer.status, 200, answer.message);
        else {
          assert.equal(answer.status, 422, answer.message);
          assert.match(answer.message, refused);
        }
      });
    }
  }

  test('defaults are those of the API reference', async () => {
    const [backup, restore, schedule] = [BACKUP_CASES, RESTORE_CASES, SCHEDULE_CASES].map(
      (cases) => cases[0]?.spec ?? {},
    );
    const specOf = async (kind: (typeof KINDS)[number]['resource'], spec: Fields = {}): Promise<Fields> => {
      const { body } = await send('POST', kind, 'defaults', { spec }, '&dryRun=All');
      return (body as { spec: Fields }).spec;
    };
    const added = {
      encryption: { enabled: false },
      validation: { enabled: true, consistencyCheck: false },
      veleroIntegration: { enabled: false },
      deletionPolicy: 'Retain',
    };
    assert.deepEqual(await specOf(ETCD_BACKUP_RESOURCE, backup), { ...backup, ...added });
    assert.deepEqual(await specOf(ETCD_RESTORE_RESOURCE, restore), {
      ...restore,
      ...{ quiesceCluster: true, conflictPolicy: 'Fail', dryRun: false },
      versionCompatibility: { check: true, allowMismatch: false },
    });
    const { backupTemplate } = schedule as { backupTemplate: { spec: Fields } };
    assert.deepEqual(await specOf(ETCD_BACKUP_SCHEDULE_RESOURCE, schedule), {
      ...schedule,
      ...{ suspend: false, concurrencyPolicy: 'Forbid', aiOptimization: { enabled: false } },
      backupTemplate: { spec: { ...backupTemplate.spec, ...added } },
    });
  });

  test('the status is written apart from the spec, and holds what it promises', async () => {
    const name = 'with-status';
    const [{ spec } = { spec: {} }] = BACKUP_CASES;
    const status = JSON.parse(
      readFileSync(join(import.meta.dirname, 'backup-status.json'), 'utf8'),
    ) as Fields;
    await send('POST', ETCD_BACKUP_RESOURCE, name, { spec, status });
    const path = `${API}/default/etcdbackups/${name}`;
    const created = (await kube.request('GET', path)).body as { metadata: Fields; status?: Fields };
    assert.equal(created.status, undefined);
    const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
    const body = {
      apiVersion,
      kind,
      metadata: created.metadata,
      spec: { ...spec, backupMode: 'Incremental' },
      status,
    };
    const updated = await kube.request('PUT', `${path}/status?fieldValidation=Strict`, { body });
    assert.equal(updated.status, 200, updated.message);
    const {
      metadata,
      spec: kept,
      status: stored,
    } = updated.body as Record<'metadata' | 'spec' | 'status', Fields>;
    assert.equal(kept.backupMode, 'Full');
    assert.deepEqual(stored, status);
    const wrong = await kube.request('PUT', `${path}/status`, {
      body: { ...body, metadata, status: { phase: 'Done' } },
    });
    assert.match(wrong.message, /status\.phase: Unsupported value: "Done"/);

    const [head = '', row = ''] = (await kube.kubectl('get', 'eb', name)).split('\n');
    assert.match(head, /^NAME +MODE +SCHEDULE +PHASE +REVISION +COMPLETED +AGE/);
    assert.match(row, /^with-status +Full +Completed +42 +\S+ +\S+/);
    assert.match(await kube.kubectl('get', 'etcdguardian', '-o', 'wide'), /with-status .* LiveHash/);
  });

  test('short names and the category find each kind, and explain speaks of every field', async () => {
    for (const [short, { resource }] of [
      ['eb', KINDS[0]],
      ['ebs', KINDS[1]],
      ['er', KINDS[2]],
    ] as const) {
      await kube.kubectl('get', short, '-A');
      const explained = await kube.kubectl('explain', resource.plural, '--recursive');
      assert.match(explained, new RegExp(`KIND: +${resource.kind}`));
      assert.match(explained, /lastTransitionTime\s+<string>/);
    }
    const field = await kube.kubectl('explain', 'etcdbackups.spec.storageLocation.region');
    assert.match(field, /The region of the bucket, like cn-hangzhou/);
  });
});
