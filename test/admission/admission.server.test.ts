import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import {
  type AdmissionScene,
  CLUSTER_BACKUP,
  customResource,
  resourcePath,
  startAdmissionScene,
  TENANT_BACKUP,
} from '../harness/admission-scene.ts';
import { KUBE_PROGRAMS } from '../harness/kube-apiserver.ts';
import { needs } from '../harness/tools.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', 'manifests', 'examples');

describe('admission in a real API server', needs(...KUBE_PROGRAMS), () => {
  let scene: AdmissionScene;
  before(async () => {
    scene = await startAdmissionScene({ policies: false });
  });
  after(async () => {
    await scene[Symbol.asyncDispose]();
  });

  for (const file of readdirSync(EXAMPLES)) {
    test(`the example ${file} is admitted for an administrator, as it is`, async () => {
      const example = parse(readFileSync(join(EXAMPLES, file), 'utf8')) as {
        kind: string;
        metadata: { namespace?: string };
        spec: object;
      };
      const namespace = example.metadata.namespace ?? 'default';
      const path = resourcePath(`${example.kind.toLowerCase()}s`, namespace);
      const { status, message, body } = await scene.as('admin', 'POST', `${path}?dryRun=All`, {
        body: example,
      });
      assert.equal(status, 201, message);
      const { spec } = body as { spec: { requestedBy: { username: string } } };
      assert.partialDeepStrictEqual(spec, example.spec);
      assert.equal(spec.requestedBy.username, 'admin');
    });
  }

  test('a tenant backs up his namespace, and not the cluster', async () => {
    const path = resourcePath('etcdbackups', 'team-a');
    const own = await scene.as('alice', 'POST', path, {
      body: customResource('EtcdBackup', 'own', TENANT_BACKUP),
    });
    assert.equal(own.status, 201, own.message);
    assert.deepEqual((own.body as { spec: { requestedBy: object } }).spec.requestedBy, {
      username: 'alice',
      uid: 'uid-of-alice',
      groups: ['team-a', 'system:authenticated'],
    });
    const all = await scene.as('alice', 'POST', path, {
      body: customResource('EtcdBackup', 'all', CLUSTER_BACKUP),
    });
    assert.equal(all.status, 403);
    assert.match(all.message, /user "alice" may not backup etcdclusters\.etcdguardian\.io/);
  });
});
