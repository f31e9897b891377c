import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { startKubeApiServer, type KubeApiServer } from '../test/harness/kube-apiserver.ts';
import { connectKube, type KubeConnection } from '../lib/kubernetes/connect-kube.ts';
import type { KubeObject } from '../lib/kubernetes/kube-client.ts';
import { LogLines } from '../lib/log-lines.ts';
import { DAEMON_SETS, NAMESPACES, PODS, type Pod } from './core-resources.ts';
import { controlPlaneSettings, type ControlPlaneSettings, type SettingName } from './settings.ts';

export const NAMESPACE = 'etcd-guardian-system';
export const AUDIENCE = 'etcdguardian-enrolment';

/** A namespace of ours in a real API server, with the agents' DaemonSet; pods are made by hand, as no kubelet runs. */
export interface Installation extends AsyncDisposable {
  readonly server: KubeApiServer;
  readonly kube: KubeConnection;
  /** The uid of kube-system. */
  readonly cluster: string;
  readonly daemonSetUid: string;
  settings(flags?: Partial<Record<SettingName, string>>): ControlPlaneSettings;
  /** What Events tell of objects of that name in our namespace: `REASON: NOTE`. */
  events(name: string): Promise<string[]>;
  /** A pod of the DaemonSet on that node, with that address. */
  addAgentPod(options: AgentPodOptions): Promise<Pod & { metadata: { uid: string } }>;
  /** A token as kubelet projects it. */
  tokenOf(pod: KubeObject, options?: { audience?: string; serviceAccount?: string }): Promise<string>;
  /** A token with these claims, signed by the API server's own key. */
  signedToken(claims: object): Promise<string>;
}

export interface AgentPodOptions {
  readonly node: string;
  readonly name?: string;
  readonly ip?: string;
  readonly serviceAccount?: string;
  /** Instead of the DaemonSet; undefined: nobody. */
  readonly owner?: { kind?: string; name?: string; uid?: string; controller?: boolean } | 'nobody';
}

const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events' };
type KubeEvent = KubeObject & {
  readonly regarding?: { readonly name: string };
  readonly reason: string;
  readonly note: string;
};

export async function startInstallation(): Promise<Installation> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startKubeApiServer());
  const kube = stack.use(await connectKube({ kubeconfig: server.kubeconfig, env: {} }));
  await kube.create(NAMESPACES, undefined, { metadata: { name: NAMESPACE } });
  for (const account of ['etcdguardian-agent', 'other'])
    await server.kubectl('create', 'serviceaccount', account, '-n', NAMESPACE);
  const daemonSet = await kube.create<KubeObject>(DAEMON_SETS, NAMESPACE, DAEMON_SET);
  const system = await kube.get({ resource: NAMESPACES, name: 'kube-system' });
  const daemonSetUid = daemonSet.metadata.uid ?? '';
  const moved = stack.move();
  return {
    ...{ server, kube, daemonSetUid, cluster: system.metadata.uid ?? '' },
    settings: (flags = {}) =>
      controlPlaneSettings(
        {},
        {
          ...{ kubeconfig: server.kubeconfig, listenHost: '127.0.0.1', enrolmentPort: '0', pagesPort: '0' },
          ...{ podName: 'controlplane-a', ...flags },
        },
      ),
    async events(name) {
      const { items } = await kube.list<KubeEvent>(EVENTS, { namespace: NAMESPACE });
      return items.flatMap(({ regarding, reason, note }) =>
        regarding?.name === name ? [`${reason}: ${note}`] : [],
      );
    },
    addAgentPod: (options) => addAgentPod(kube, daemonSetUid, options),
    async tokenOf({ metadata }, { audience = AUDIENCE, serviceAccount = 'etcdguardian-agent' } = {}) {
      const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${serviceAccount}/token`;
      const answer = await server.request('POST', path, {
        body: {
          ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
          spec: {
            ...{ audiences: [audience], expirationSeconds: 600 },
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
          },
        },
      });
      assert.equal(answer.status, 201, answer.message);
      return (answer.body as { status: { token: string } }).status.token;
    },
    async signedToken(claims) {
      const key = createPrivateKey(await readFile(server.serviceAccountKeyFile, 'utf8'));
      const encoded = [{ alg: 'ES256', typ: 'JWT' }, claims].map((part) =>
        Buffer.from(JSON.stringify(part)).toString('base64url'),
      );
      const signature = sign('sha256', Buffer.from(encoded.join('.')), { key, dsaEncoding: 'ieee-p1363' });
      return [...encoded, signature.toString('base64url')].join('.');
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

const AGENT_LABELS = { 'app.kubernetes.io/name': 'etcdguardian', 'app.kubernetes.io/component': 'agent' };
const CONTAINERS = [{ name: 'agent', image: 'etcdguardian' }];
const DAEMON_SET = {
  metadata: { name: 'etcdguardian-agent' },
  spec: {
    selector: { matchLabels: AGENT_LABELS },
    template: { metadata: { labels: AGENT_LABELS }, spec: { containers: CONTAINERS } },
  },
};

async function addAgentPod(
  kube: KubeConnection,
  daemonSetUid: string,
  options: AgentPodOptions,
): Promise<Pod & { metadata: { uid: string } }> {
  const { node, name = `agent-${node}`, ip, serviceAccount = 'etcdguardian-agent', owner = {} } = options;
  const ownDaemonSet = { kind: 'DaemonSet', name: 'etcdguardian-agent', uid: daemonSetUid, controller: true };
  const pod = await kube.create<Pod & { metadata: { uid: string } }>(PODS, NAMESPACE, {
    metadata: {
      ...{ name, labels: AGENT_LABELS },
      ownerReferences: owner === 'nobody' ? [] : [{ apiVersion: 'apps/v1', ...ownDaemonSet, ...owner }],
    },
    spec: {
      nodeName: node,
      serviceAccountName: serviceAccount,
      containers: CONTAINERS,
      terminationGracePeriodSeconds: 0,
    },
  });
  if (ip !== undefined) {
    const reference = { resource: PODS, namespace: NAMESPACE, name, subresource: 'status' };
    await kube.mergePatch(reference, { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } });
  }
  return pod;
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly audit?: boolean;
  readonly result?: string;
  readonly reason?: string;
}

/** A log that a test can look at. */
export function recordedLog(): { readonly log: LogLines; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const output = { write: (text: string) => lines.push(JSON.parse(text) as LogLine) };
  return { log: new LogLines(output, () => new Date(), 'json'), lines };
}
