import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drillJob, drillSecret, orderOf } from './drill-job.ts';
import type { DrillOrder, DrillSettings } from './drill-order.ts';
import { type DrillPodSettings, drillPodSettings } from './drill-pod-settings.ts';

const order: DrillOrder = {
  ...{ name: 'drill-1', secret: 'drill-1-secret' },
  backup: { namespace: 'prod', name: 'nightly-1', uid: 'uid-1' },
  at: new Date('2026-11-22T01:02:03Z'),
  arguments: ['--store', 's3://bucket/prefix', '--key-file', '/drill/order/keys'],
  files: { keys: Buffer.from('key'), 'store-ca.crt': Buffer.from('ca') },
  environment: { AWS_SECRET_ACCESS_KEY: 'very secret' },
  images: { guardian: 'ours:1', etcd: 'etcd:3.6', kubeApiserver: 'api:1.36' },
};

function settings(pod: Partial<DrillPodSettings> = {}): DrillSettings {
  const given = drillPodSettings.parse({ image: 'ours:1', nodeSelector: { disk: 'fast' }, ...pod });
  return { namespace: 'guardian', deadlineMs: 90_500, serviceAccount: 'etcdguardian-drill', pod: given };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env?: readonly object[];
  readonly volumeMounts: readonly { readonly name: string; readonly readOnly?: boolean }[];
  readonly securityContext: object;
  readonly resources: object;
}

interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string }[];
}

const podOf = (ordered: DrillOrder, with_ = settings()): PodSpec => {
  const template = drillJob(ordered, with_).spec.template as { readonly spec: PodSpec };
  return template.spec;
};

test('a Job is held once, for so long, and tells which backup it drills', () => {
  const job = drillJob(order, settings());
  const { backoffLimit, activeDeadlineSeconds, ttlSecondsAfterFinished } = job.spec;
  assert.deepEqual([backoffLimit, activeDeadlineSeconds, ttlSecondsAfterFinished], [0, 91, 3_600]);
  assert.deepEqual([job.metadata.namespace, job.metadata.name], ['guardian', 'drill-1']);
  assert.deepEqual(orderOf(job), { backup: order.backup, at: order.at });
  assert.equal(orderOf({ metadata: { name: 'drill-1' } }), undefined);
});

test('the pod has no rights, no token, no shell to escape to, and stays where the settings say', () => {
  const job = drillJob(order, settings({ tolerations: [{ operator: 'Exists' }] }));
  const { spec } = job.spec.template as { readonly spec: Readonly<Record<string, unknown>> };
  assert.deepEqual(
    [spec.serviceAccountName, spec.automountServiceAccountToken, spec.restartPolicy],
    ['etcdguardian-drill', false, 'Never'],
  );
  assert.deepEqual([spec.nodeSelector, spec.tolerations], [{ disk: 'fast' }, [{ operator: 'Exists' }]]);
  assert.deepEqual(spec.securityContext, {
    ...{ runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532 },
    seccompProfile: { type: 'RuntimeDefault' },
  });
  const { initContainers, containers } = podOf(order);
  for (const { securityContext } of [...initContainers, ...containers]) {
    assert.deepEqual(securityContext, {
      ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
      capabilities: { drop: ['ALL'] },
    });
  }
});

test('first our Node is laid out, which then copies the programs out of the images of the cluster', () => {
  const { initContainers } = podOf(order);
  assert.deepEqual(
    initContainers.map(({ image, command = [], args }) => [image, ...command, ...args].join(' ')),
    [
      'ours:1 drill carrier --into /programs/carrier',
      ...[
        ['etcd:3.6', 'etcd'],
        ['api:1.36', 'kube-apiserver'],
      ].map(
        ([image = '', program = '']) =>
          `${image} /programs/carrier/loader --library-path /programs/carrier/lib /programs/carrier/node` +
          ` /programs/carrier/copy-program.mts ${program} /programs`,
      ),
    ],
  );
});

test('the drill runs with what was ordered, and changes no program', () => {
  const pod = podOf(order, settings({ encryptionConfigSecret: 'at-rest', queriesConfigMap: 'questions' }));
  const [{ args, volumeMounts }] = pod.containers;
  assert.deepEqual(args, [
    ...['drill', 'run', '--etcd', '/programs/etcd', '--kube-apiserver', '/programs/kube-apiserver'],
    ...['--encryption-config', '/drill/encryption/encryption.yaml'],
    ...['--queries', '/drill/queries/queries.yaml', '--work-dir', '/work'],
    ...['--summary', '/dev/termination-log', ...order.arguments],
  ]);
  const writable = volumeMounts.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name);
  assert.deepEqual(writable, ['work']);
  assert.deepEqual(volumeMounts.map(({ name }) => name).sort(), pod.volumes.map(({ name }) => name).sort());
});

test('what somebody writes into an endpoint stays as it is, whatever variables there are', () => {
  const asked = { ...order, arguments: ['--s3-endpoint', 'https://$(http_proxy).$$.example'] };
  const [{ args }] = podOf(asked).containers;
  assert.equal(args.at(-1), 'https://$$(http_proxy).$$$$.example');
});

test('without an API server nothing is asked for that only it needs', () => {
  const without = { ...order, images: { ...order.images, kubeApiserver: undefined } };
  const pod = podOf(without, settings({ encryptionConfigSecret: 'at-rest' }));
  assert.equal(pod.initContainers.length, 2);
  assert.doesNotMatch(JSON.stringify(pod), /apiserver|at-rest|encryption/);
});

test('secrets lie in the Secret alone, which goes with the Job', () => {
  const job = drillJob(order, settings());
  assert.doesNotMatch(JSON.stringify(job), /very secret/);
  assert.deepEqual(podOf(order).containers[0].env?.at(-1), {
    name: 'AWS_SECRET_ACCESS_KEY',
    valueFrom: { secretKeyRef: { name: 'drill-1-secret', key: 'env.AWS_SECRET_ACCESS_KEY' } },
  });
  assert.deepEqual(
    podOf(order).volumes.find(({ name }) => name === 'order'),
    {
      name: 'order',
      secret: {
        ...{ secretName: 'drill-1-secret', defaultMode: 0o400 },
        items: [
          { key: 'keys', path: 'keys' },
          { key: 'store-ca.crt', path: 'store-ca.crt' },
        ],
      },
    },
  );
  const { metadata } = drillJob(order, settings());
  const secret = drillSecret(order, { metadata: { ...metadata, uid: 'job-1' } }, 'guardian');
  assert.deepEqual([secret.immutable, secret.metadata.name], [true, 'drill-1-secret']);
  const older = { metadata: { name: 'drill-1', uid: 'job-1' } };
  assert.equal(drillSecret(order, older, 'guardian').metadata.name, 'drill-1');
  assert.deepEqual(secret.metadata.ownerReferences, [
    { apiVersion: 'batch/v1', kind: 'Job', name: 'drill-1', uid: 'job-1', controller: true },
  ]);
  const text = (entry: string): string => Buffer.from(secret.data?.[entry] ?? '', 'base64').toString();
  assert.deepEqual(Object.keys(secret.data ?? {}).map(text), ['key', 'ca', 'very secret']);
});

test('resources, disk and more variables are what the settings say', () => {
  const resources = { limits: { memory: '1Gi' } };
  const env = [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }];
  const pod = podOf(order, settings({ resources, env, diskSize: '20Gi', imagePullPolicy: 'Never' }));
  const all = [...pod.initContainers, ...pod.containers];
  assert.deepEqual(
    all.map((container) => container.resources),
    all.map(() => resources),
  );
  // Those of the cluster are on its nodes.
  assert.deepEqual(
    all.map(({ imagePullPolicy }) => imagePullPolicy),
    ['Never', 'IfNotPresent', 'IfNotPresent', 'Never'],
  );
  assert.ok(JSON.stringify(pod.containers[0].env).includes('http://proxy:3128'));
  assert.deepEqual(
    pod.volumes.find(({ name }) => name === 'work'),
    { name: 'work', emptyDir: { sizeLimit: '20Gi' } },
  );
});
