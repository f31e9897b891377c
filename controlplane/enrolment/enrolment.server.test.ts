import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { after, test } from 'node:test';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { reviewToken } from '../../lib/kubernetes/token-review.ts';
import { createCertificateRequest } from '../../lib/pki/certificate-request.ts';
import { createKey } from '../../lib/pki/key-pair.ts';
import { peerIdentity } from '../../lib/pki/peer-identity.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { DAEMON_SETS, PODS } from '../core-resources.ts';
import { AUDIENCE, type Installation, NAMESPACE } from '../installation.fixture.ts';
import { type EnrolmentScene, enrolmentScene } from './enrolment-scene.fixture.ts';

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());

let started: Promise<EnrolmentScene> | undefined;
function scene(): Promise<EnrolmentScene> {
  started ??= enrolmentScene(stack);
  return started;
}

/** Each sender has an address of its own, so that no test meets another's rate limit. */
let senders = 0;

async function post(
  { port, keeper }: EnrolmentScene,
  body: string,
): Promise<{ status: number; answer: Record<string, string> }> {
  const { ca } = await keeper.current();
  senders += 1;
  const localAddress = `127.0.2.${senders}`;
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    answer: Record<string, string>;
  }>();
  const sent = request(
    {
      ...{ host: '127.0.0.1', port, path: '/enrol', method: 'POST', ca, agent: false, localAddress },
      checkServerIdentity: () => undefined,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, answer: JSON.parse(text) as Record<string, string> });
      });
    },
  );
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

async function asking(token: string, more: object = {}): Promise<string> {
  return JSON.stringify({ csr: createCertificateRequest(await createKey()), token, ...more });
}

interface Attack {
  readonly name: string;
  readonly status: number;
  readonly code: string;
  readonly body: (it: Installation) => Promise<string>;
}

let pods = 0;
const nodeName = (): string => `victim-${(pods += 1)}`;

const ATTACKS: readonly Attack[] = [
  {
    name: 'a token of another service account of our namespace',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) => {
      const pod = await it.addAgentPod({ node: nodeName(), serviceAccount: 'other' });
      return asking(await it.tokenOf(pod, { serviceAccount: 'other' }));
    },
  },
  {
    name: 'a token for the API server, which every pod has',
    ...{ status: 401, code: 'controlplane.enrolment-token' },
    body: async (it) => {
      const pod = await it.addAgentPod({ node: nodeName() });
      return asking(await it.tokenOf(pod, { audience: 'https://kubernetes.default.svc' }));
    },
  },
  {
    name: 'a token that has expired',
    ...{ status: 401, code: 'controlplane.enrolment-token' },
    body: async (it) => {
      const pod = await it.addAgentPod({ node: nodeName() });
      const fresh = await it.signedToken(await claims(it, pod, 600));
      assert.ok(await reviewToken(it.kube, fresh, AUDIENCE), 'the time is all that is wrong with it');
      return asking(await it.signedToken(await claims(it, pod, -60)));
    },
  },
  {
    name: 'a token signed by nobody whom the API server knows',
    ...{ status: 401, code: 'controlplane.enrolment-token' },
    body: async (it) => {
      const token = await it.tokenOf(await it.addAgentPod({ node: nodeName() }));
      return asking(`${token.slice(0, -8)}AAAAAAAA`);
    },
  },
  {
    name: 'a token of our service account that is bound to no pod',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) => {
      const token = await it.server.kubectl(
        ...['create', 'token', 'etcdguardian-agent', '-n', NAMESPACE, `--audience=${AUDIENCE}`],
      );
      return asking(token.trim());
    },
  },
  {
    name: 'a token of a pod that was deleted',
    ...{ status: 401, code: 'controlplane.enrolment-token' },
    body: async (it) => {
      const pod = await it.addAgentPod({ node: nodeName() });
      const token = await it.tokenOf(pod);
      await deletePod(it, pod.metadata.name);
      await untilForgotten(it, token);
      return asking(token);
    },
  },
  {
    name: 'a token of a pod that was replaced by another of the same name',
    ...{ status: 401, code: 'controlplane.enrolment-token' },
    body: async (it) => {
      const node = nodeName();
      const pod = await it.addAgentPod({ node });
      const token = await it.tokenOf(pod);
      await deletePod(it, pod.metadata.name);
      await it.addAgentPod({ node: 'elsewhere', name: pod.metadata.name });
      await untilForgotten(it, token);
      return asking(token);
    },
  },
  {
    name: 'a pod with our service account that nobody controls',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) => asking(await it.tokenOf(await it.addAgentPod({ node: nodeName(), owner: 'nobody' }))),
  },
  {
    name: 'a pod that names a DaemonSet of our name, with another uid',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) => {
      const owner = { uid: '00000000-0000-4000-8000-000000000000' };
      return asking(await it.tokenOf(await it.addAgentPod({ node: nodeName(), owner })));
    },
  },
  {
    name: 'a pod that our DaemonSet owns, but does not control',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) =>
      asking(await it.tokenOf(await it.addAgentPod({ node: nodeName(), owner: { controller: false } }))),
  },
  {
    name: 'a pod of another DaemonSet of our namespace',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) => {
      const { spec } = await it.kube.get<KubeObject & { spec: object }>({
        ...{ resource: DAEMON_SETS, namespace: NAMESPACE, name: 'etcdguardian-agent' },
      });
      const other = await it.kube.create<{ metadata: { uid: string } }>(DAEMON_SETS, NAMESPACE, {
        ...{ metadata: { name: 'other' }, spec },
      });
      const owner = { name: 'other', uid: other.metadata.uid };
      return asking(await it.tokenOf(await it.addAgentPod({ node: nodeName(), owner })));
    },
  },
  {
    name: 'an agent that asks in the name of another node',
    ...{ status: 403, code: 'controlplane.enrolment-denied' },
    body: async (it) =>
      asking(await it.tokenOf(await it.addAgentPod({ node: nodeName() })), { node: 'control-plane-1' }),
  },
  {
    name: 'a request that is too large',
    ...{ status: 413, code: 'controlplane.enrolment-too-large' },
    body: () => asking('x'.repeat(20_000)),
  },
  {
    name: 'a body that is no JSON',
    ...{ status: 400, code: 'controlplane.enrolment-request' },
    body: () => Promise.resolve('{"csr":'),
  },
  {
    name: 'fields that nobody knows',
    ...{ status: 400, code: 'controlplane.enrolment-request' },
    body: () => asking('x', { role: 'control-plane' }),
  },
  {
    name: 'no certificate request',
    ...{ status: 400, code: 'pki.request' },
    body: async (it) =>
      JSON.stringify({ csr: 'hello', token: await it.tokenOf(await it.addAgentPod({ node: nodeName() })) }),
  },
];

for (const { name, status, code, body } of ATTACKS) {
  test(`no certificate for ${name}`, needs(...KUBE_PROGRAMS), async () => {
    const at = await scene();
    const { it, lines } = at;
    const { status: got, answer } = await post(at, await body(it));
    assert.deepEqual([got, answer.code], [status, code], answer.message ?? '');
    assert.equal(answer.cert, undefined);
    if (status < 413 && status > 400) {
      const record = lines.findLast(({ audit }) => audit === true);
      assert.deepEqual([record?.result, record?.reason], ['denied', code]);
    }
  });
}

test(
  'what a request says about its name is ignored: the certificate is for the node of the pod',
  needs(...KUBE_PROGRAMS),
  async () => {
    const at = await scene();
    const { it } = at;
    const pod = await it.addAgentPod({ node: 'node-7' });
    const { status, answer } = await post(at, await asking(await it.tokenOf(pod), { node: 'node-7' }));
    assert.equal(status, 200, answer.message ?? '');
    const certificate = new X509Certificate(answer.cert ?? '');
    assert.deepEqual(peerIdentity(certificate), { cluster: it.cluster, role: 'agent', node: 'node-7' });
    const days = (certificate.validToDate.getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 6.99 && days <= 7, `${days} days`);
  },
);

test('an agent that asks in a loop is slowed down', needs(...KUBE_PROGRAMS), async () => {
  const at = await scene();
  const { it } = at;
  const token = await it.tokenOf(await it.addAgentPod({ node: 'node-loop' }));
  const started = performance.now();
  /** Ten at once, and then one each half minute. */
  const most = (): number => 10 + Math.floor((performance.now() - started) / 30_000);
  let granted = 0;
  let status = 200;
  while (status === 200 && granted <= most()) {
    ({ status } = await post(at, await asking(token)));
    if (status === 200) granted += 1;
  }
  assert.equal(status, 429);
  assert.ok(granted >= 10 && granted <= most(), `${granted} were granted`);
});

/** As the API server writes them, ending `seconds` from now. */
async function claims(
  it: Installation,
  pod: { metadata: { name: string; uid: string } },
  seconds: number,
): Promise<object> {
  const account = { group: '', version: 'v1', plural: 'serviceaccounts' };
  const { metadata } = await it.kube.get({
    resource: account,
    namespace: NAMESPACE,
    name: 'etcdguardian-agent',
  });
  const now = Math.floor(Date.now() / 1000);
  return {
    ...{
      iss: 'https://kubernetes.default.svc',
      aud: [AUDIENCE],
      exp: now + seconds,
      iat: now - 3600,
      nbf: now - 3600,
    },
    sub: `system:serviceaccount:${NAMESPACE}:etcdguardian-agent`,
    'kubernetes.io': {
      namespace: NAMESPACE,
      pod: { name: pod.metadata.name, uid: pod.metadata.uid },
      serviceaccount: { name: 'etcdguardian-agent', uid: metadata.uid },
    },
  };
}

async function deletePod(it: Installation, name: string): Promise<void> {
  const reference = { resource: PODS, namespace: NAMESPACE, name };
  await it.kube.raw('DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/${name}?gracePeriodSeconds=0`);
  await eventually('the pod is gone', () =>
    it.kube.get(reference).then(
      () => false,
      () => true,
    ),
  );
}

/** API servers judge tokens by what they have heard of pods. */
async function untilForgotten(it: Installation, token: string): Promise<void> {
  await eventually(
    'the API server knows that the pod is gone',
    async () => (await reviewToken(it.kube, token, AUDIENCE)) === undefined,
  );
}
