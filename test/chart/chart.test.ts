import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { drillPodSettings } from '../../controlplane/drill/drill-pod-settings.ts';
import { needs, requireTool } from '../harness/tools.ts';

const root = join(import.meta.dirname, '..', '..');
const chart = join(root, 'charts', 'etcdguardian');
const HELM = 'helm 3.22.0';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly rules?: readonly Rule[];
  readonly spec?: {
    readonly ingress?: readonly object[];
    readonly template?: {
      readonly spec: {
        readonly automountServiceAccountToken?: boolean;
        readonly containers: readonly Container[];
        readonly securityContext: { readonly runAsNonRoot?: boolean };
      };
    };
  };
}

interface Container {
  readonly securityContext: { readonly privileged?: boolean; readonly runAsUser?: number };
  readonly image: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
}

async function helm(...args: readonly string[]): Promise<string> {
  const run = promisify(execFile)(requireTool('helm', '3.22.0'), args, { maxBuffer: 64 * 1024 ** 2 });
  return (await run).stdout;
}

async function rendered(...settings: readonly string[]): Promise<Manifest[]> {
  const text = await helm(
    'template',
    'x',
    chart,
    '--namespace=backups',
    '--kube-version=1.36.3',
    ...settings.map((one) => `--set=${one}`),
  );
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

const named = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
};

function containerOf({ spec }: Manifest): Container {
  const container = spec?.template?.spec.containers[0];
  assert.ok(container);
  return container;
}

test('what follows from the chart is as `make generate` writes it', needs(HELM), async () => {
  await promisify(execFile)(process.execPath, [join(root, 'tools', 'generate-chart.ts'), '--check']);
});

test('the chart passes helm lint, strictly', needs(HELM), async () => {
  assert.match(await helm('lint', '--strict', chart), /0 chart\(s\) failed/);
});

test('the version of the chart and of its program is that of package.json', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const text = await readFile(join(chart, 'Chart.yaml'), 'utf8');
  assert.match(text, new RegExp(`^version: ${version}$`, 'm'));
  assert.match(text, new RegExp(`^appVersion: ${version}$`, 'm'));
});

test(
  'everything stands in the namespace of the release, with nothing left of the default',
  needs(HELM),
  async () => {
    assert.doesNotMatch(JSON.stringify(await rendered()), /etcd-guardian-system/);
  },
);

test('custom resource definitions stay when the release goes', needs(HELM), async () => {
  const crds = (await rendered()).filter(({ kind }) => kind === 'CustomResourceDefinition');
  assert.equal(crds.length, 3);
  for (const { metadata } of crds) assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
});

test('only agents are root, and privileged only for hooks and units', needs(HELM), async () => {
  const plain = await rendered();
  for (const name of ['etcdguardian-controlplane', 'etcdguardian-webhook'])
    assert.equal(named(plain, 'Deployment', name).spec?.template?.spec.securityContext.runAsNonRoot, true);
  const isPrivileged = (manifests: readonly Manifest[]): boolean | undefined =>
    named(manifests, 'DaemonSet', 'etcdguardian-agent').spec?.template?.spec.containers[0]?.securityContext
      .privileged;
  assert.equal(isPrivileged(plain), undefined);
  assert.equal(isPrivileged(await rendered('hooks.enabled=true')), true);
  assert.equal(isPrivileged(await rendered('agent.systemd=true')), true);
});

test("nodes' files go along with backups only on request", needs(HELM), async () => {
  const template = async (...settings: readonly string[]): Promise<string> =>
    helm('template', 'x', chart, '--kube-version=1.36.3', ...settings.map((one) => `--set=${one}`));
  assert.doesNotMatch(await template(), /ETCDGUARDIAN_ATTACHMENT/);
  const asked = await template('attachments.enabled=true', 'attachments.paths={/opt/encryption}');
  assert.match(asked, /name: ETCDGUARDIAN_ATTACHMENTS\n +value: 'true'/);
  assert.match(asked, /name: ETCDGUARDIAN_ATTACHMENT_PATHS\n +value: "\/etc\/kubernetes,\/opt\/encryption"/);
});

test(
  "drills' pods are as the values say, their account has no rights, and nobody may connect",
  needs(HELM),
  async () => {
    const [tag, network] = ['image.tag=next', 'networkPolicies.enabled=true'];
    const peers = 'networkPolicies.apiServers[0].ipBlock.cidr=10.0.0.0/8';
    const all = await rendered(tag, network, peers, 'drills.diskSize=5Gi', 'imagePullSecrets[0].name=pull');
    const { env } = containerOf(named(all, 'Deployment', 'etcdguardian-controlplane'));
    const told = env?.find(({ name }) => name === 'ETCDGUARDIAN_DRILLS_POD')?.value ?? '';
    assert.deepEqual(drillPodSettings.parse(JSON.parse(told)), {
      ...{ image: 'etcdguardian/operator:next', imagePullPolicy: 'IfNotPresent', diskSize: '5Gi', env: [] },
      ...{ encryptionConfigSecret: '', queriesConfigMap: '', imagePullSecrets: [{ name: 'pull' }] },
      nodeSelector: { 'node-role.kubernetes.io/control-plane': '' },
      tolerations: [
        { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' },
      ],
      resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '4Gi' } },
    });
    const bindings = all.filter(({ kind }) => kind.endsWith('RoleBinding'));
    assert.doesNotMatch(JSON.stringify(bindings), /etcdguardian-drill/);
    named(all, 'ServiceAccount', 'etcdguardian-drill');
    const { spec } = named(all, 'NetworkPolicy', 'etcdguardian-drill');
    assert.deepEqual(spec?.ingress, []);
  },
);

test('agents get no token of the API server', needs(HELM), async () => {
  const agent = named(await rendered(), 'DaemonSet', 'etcdguardian-agent');
  assert.equal(agent.spec?.template?.spec.automountServiceAccountToken, false);
});

for (const wrong of [
  'webhook.enabeld=true',
  'replicas=0',
  'etcd.dataDir=var/lib/etcd',
  'storage.defaultProvider=gcs',
  'etcd.certificates.create=false',
  'drills.every=weekly',
]) {
  test(`refused: ${wrong}`, needs(HELM), async () => {
    await assert.rejects(rendered(wrong), /schema|secretName is needed/);
  });
}

test('without agents and webhook there is neither', needs(HELM), async () => {
  const kinds = (
    await rendered('agent.enabled=false', 'webhook.enabled=false', 'webhook.policies=false')
  ).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  assert.deepEqual(
    kinds.filter((name) => /agent|webhook|Webhook|Admission/i.test(name)),
    [],
  );
});

test('roles for people are there unless they are not wanted', needs(HELM), async () => {
  const people = async (...settings: readonly string[]): Promise<string[]> =>
    (await rendered(...settings))
      .filter(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name.startsWith('etcd-'))
      .map(({ metadata }) => metadata.name);
  assert.deepEqual(await people(), ['etcd-admin', 'etcd-tenant-operator', 'etcd-viewer']);
  assert.deepEqual(await people('roles.create=false'), []);
});

test(
  'our service accounts are granted no wildcard but to impersonate, and read Secrets by name',
  needs(HELM),
  async () => {
    const rules = async (...settings: readonly string[]): Promise<Rule[]> =>
      (await rendered(...settings))
        .filter(({ kind, metadata }) => kind.endsWith('Role') && metadata.name.startsWith('etcdguardian-'))
        .flatMap((role) => role.rules ?? []);
    const all = await rules();
    const wild = all.filter((rule) => [rule.verbs, rule.apiGroups, rule.resources].flat().includes('*'));
    assert.deepEqual(
      wild.map(({ verbs, apiGroups, resources }) => [verbs, apiGroups, resources]),
      [[['impersonate'], ['authentication.k8s.io'], ['*']]],
    );
    const anySecret = ({ verbs, resources, resourceNames }: Rule): boolean =>
      verbs.includes('get') && resources.includes('secrets') && resourceNames === undefined;
    assert.equal(all.some(anySecret), false);
    // Nobody is known then who might have asked.
    assert.equal((await rules('webhook.enabled=false')).filter(anySecret).length, 1);
  },
);
