import assert from 'node:assert/strict';
import { createDecipheriv, createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import type { Etcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer, drillAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { KUBE_PROGRAMS, KUBERNETES_VERSIONS, startKubeApiServer } from '../harness/kube-apiserver.ts';
import { sample } from '../harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs, requireTool } from '../harness/tools.ts';

const [VERSION = '1.36.3'] = sample(KUBERNETES_VERSIONS, 1, 'drilled API servers');

describe(
  `a drill with kube-apiserver ${VERSION}`,
  needs(...KUBE_PROGRAMS, `kube-apiserver ${VERSION}`, 'etcd 3.6.16', 'etcdctl 3.6.16'),
  () => {
    let folder: TemporaryFolder;
    let cli: GuardianCli;
    let drill: readonly string[];

    before(async () => {
      folder = await temporaryFolder();
      cli = guardianCli(folder);
      drill = await backUpCluster(folder, cli);
    });

    after(async () => {
      await folder[Symbol.asyncDispose]();
    });

    test('is ready, reads a Secret, lists every resource type, and calls no webhook', async () => {
      const file = folder.join('queries.json');
      const queries = [
        { resource: 'configmaps', namespace: 'shop', object: 'web', field: 'data["a.conf"]', equals: 'open' },
        { resource: 'widgets.example.com', namespace: 'shop', object: 'one', field: 'spec.size', equals: 3 },
        { resource: 'secrets', namespace: 'shop', object: 'password', field: 'data.word', equals: 'eA==' },
        { resource: 'namespaces', object: 'shop', field: 'metadata.name', equals: 'shop' },
      ];
      await writeFile(file, JSON.stringify({ queries }));
      const keys = ['--encryption-config', folder.join('keys.json'), '--queries', file];
      const answer = await cli.json(drillAnswer, [...drill, ...keys]);
      assert.equal(answer.result, 'passed', JSON.stringify(answer, null, 2));
      const names = answer.checks.map(({ name }) => name);
      for (const name of ['the API server reads a Secret', 'the API server lists every resource type'])
        assert.ok(names.includes(name), names.join());
      assert.equal(names.filter((name) => name.startsWith('query: ')).length, queries.length);
      const listed = new Map(answer.listed?.map(({ resource, objects }) => [resource, objects]));
      assert.equal(listed.get('widgets.example.com'), 1);
      assert.ok((listed.get('deployments.apps') ?? -1) === 0 && listed.size > 40, [...listed.keys()].join());
      assert.ok(
        answer.warnings.some((one) => one.startsWith('far.example.com/v1 is served by another server')),
      );
      assert.equal(answer.apiServer?.version, VERSION);
      assert.ok((answer.phases['api-server'] ?? 0) > 0);
      assert.deepEqual(await readdir(folder.join('work')), []);
    });

    test('with another key of the same name, with another name, or without keys, finds that Secrets are lost', async () => {
      const wrong: (readonly [readonly string[], RegExp])[] = [
        [
          ['--encryption-config', folder.join('other-secret.json')],
          /can't read Secret shop\/password, .*aescbc key "first"/,
        ],
        [
          ['--encryption-config', folder.join('other-luck.json')],
          /can't read Secret shop\/password, .*aescbc key "first"/,
        ],
        [
          ['--encryption-config', folder.join('other-name.json')],
          /can't read Secret shop\/password, .*aescbc key "first"/,
        ],
        [
          [],
          /encrypted at rest with aescbc key "first", and the API server of this drill has no EncryptionConfiguration/,
        ],
      ];
      for (const [options, told] of wrong) {
        const { status, stdout } = await cli.run([...drill, ...options]);
        assert.equal(status, 5, stdout);
        assert.match(stdout, told);
        assert.match(
          stdout,
          /\[restore\.encryption-key\]\n {2}what to do: .*EncryptionConfiguration|--encryption-config/,
        );
        assert.deepEqual(await readdir(folder.join('work')), []);
      }
    });

    test('without an API server says that nobody has shown to hold the keys', async () => {
      const without = drill.toSpliced(drill.indexOf('--kube-apiserver'), 2);
      const answer = await cli.json(drillAnswer, without);
      assert.equal(answer.result, 'passed');
      assert.deepEqual(answer.encryptionAtRest, [{ provider: 'aescbc', key: 'first', values: 1 }]);
      assert.match(
        answer.warnings.join(),
        /only a drill with --kube-apiserver and --encryption-config shows/,
      );
    });

    test('whose API server does not come up tells its last words', async () => {
      const broken = folder.join('broken.json');
      await writeFile(broken, '{"kind": "EncryptionConfiguration"');
      const { status, stdout } = await cli.run([...drill, '--encryption-config', broken]);
      assert.equal(status, 3, stdout);
      assert.match(
        stdout,
        /kube-apiserver ended \(exit code 1\).*\[drill\.api-server-ended\]\n {2}what to do: /,
      );
    });
  },
);

/** A backup of a cluster with a custom resource, an encrypted Secret, a webhook and an aggregated API; what drills it. */
async function backUpCluster(folder: TemporaryFolder, cli: GuardianCli): Promise<string[]> {
  const keys = folder.join('keys.json');
  await writeFile(keys, encryptionWith('first', RIGHT_KEY));
  await writeFile(folder.join('other-name.json'), encryptionWith('second', RIGHT_KEY));
  const args = [`--encryption-provider-config=${keys}`];
  await using kube = await startKubeApiServer({ version: VERSION, args });
  await kube.kubectl('create', 'namespace', 'shop');
  await kube.kubectl('create', 'secret', 'generic', 'password', '-n', 'shop', '--from-literal=word=x');
  await kube.kubectl('create', 'configmap', 'web', '-n', 'shop', '--from-literal=a.conf=open');
  await apply(folder, kube, WIDGETS);
  await kube.kubectl('wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=180s');
  // It is established a moment before it is served.
  await eventually('widgets are served', () => apply(folder, kube, WIDGET).then(() => true));
  await apply(folder, kube, FAR_API);
  // Last, as it lets nothing through.
  await apply(folder, kube, WEBHOOK);
  const stored = await valueAt(kube.etcd, '/registry/secrets/shop/password');
  await writeFile(folder.join('other-secret.json'), encryptionWith('first', wrongKey(stored, 'is told')));
  await writeFile(folder.join('other-luck.json'), encryptionWith('first', wrongKey(stored, 'goes unseen')));
  const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
  await cli.json(backupAnswer, ['backup', 'create', '--endpoints', kube.etcd.endpoint, ...store]);
  const programs = [
    '--etcd',
    requireTool('etcd', '3.6.16'),
    '--kube-apiserver',
    requireTool('kube-apiserver', VERSION),
  ];
  return ['drill', 'run', ...store, ...programs, '--work-dir', folder.join('work')];
}

async function apply(
  folder: TemporaryFolder,
  kube: { kubectl(...args: readonly string[]): Promise<string> },
  object: object,
): Promise<void> {
  const file = folder.join('object.json');
  await writeFile(file, JSON.stringify(object));
  await kube.kubectl('create', '-f', file);
}

const RIGHT_KEY = Buffer.alloc(32, 'a');

async function valueAt(etcd: Etcd, key: string): Promise<Buffer> {
  const { kvs } = etcdGetSchema.parse(JSON.parse(await etcd.etcdctl('get', key, '--write-out=json')));
  const [found] = kvs;
  assert.ok(found !== undefined, `nothing at ${key}`);
  return Buffer.from(found.value, 'base64');
}

const etcdGetSchema = z.object({ kvs: z.array(z.object({ value: z.string() })) });

/**
 * A key that isn't the one a value was written with. AES-CBC knows no more of it than the padding at the end tells: of
 * 256 wrong keys one fits, and gives bytes that mean nothing.
 */
function wrongKey(stored: Buffer, padding: 'is told' | 'goes unseen'): Buffer {
  const blocks = stored.subarray(stored.indexOf('first:') + 'first:'.length);
  for (let attempt = 0; ; attempt++) {
    const key = createHash('sha256').update(`wrong key ${attempt}`).digest();
    const decipher = createDecipheriv('aes-256-cbc', key, blocks.subarray(0, 16));
    const fits = succeeds(() => Buffer.concat([decipher.update(blocks.subarray(16)), decipher.final()]));
    if (fits === (padding === 'goes unseen')) return key;
  }
}

function succeeds(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}

function encryptionWith(name: string, key: Buffer): string {
  const secret = key.toString('base64');
  return JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      { resources: ['secrets'], providers: [{ aescbc: { keys: [{ name, secret }] } }, { identity: {} }] },
    ],
  });
}

const WIDGETS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    versions: [
      {
        ...{ name: 'v1', served: true, storage: true },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

const WIDGET = {
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name: 'one', namespace: 'shop' },
  spec: { size: 3 },
};

const FAR_API = {
  apiVersion: 'apiregistration.k8s.io/v1',
  kind: 'APIService',
  metadata: { name: 'v1.far.example.com' },
  spec: {
    ...{ group: 'far.example.com', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 10 },
    ...{ service: { name: 'far', namespace: 'shop' }, insecureSkipTLSVerify: true },
  },
};

const WEBHOOK = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingWebhookConfiguration',
  metadata: { name: 'nobody-answers' },
  webhooks: [
    {
      ...{ name: 'nobody.example.com', sideEffects: 'None', admissionReviewVersions: ['v1'] },
      ...{ failurePolicy: 'Fail', clientConfig: { service: { name: 'nobody', namespace: 'shop' } } },
      rules: [{ apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], operations: ['CREATE', 'UPDATE'] }],
    },
  ],
};
