import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { createAuthority } from '../../lib/pki/authority.ts';
import { trustPem, toSecretData } from '../../lib/pki/authority-bundle.ts';
import { loadKeys } from '../../lib/encryption/load-keys.ts';
import type { Description } from '../../lib/agent-api/description.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import type { KnownAgent } from '../agents/agent-directory.ts';
import {
  CONFIG_MAPS,
  MUTATING_WEBHOOKS,
  type Secret,
  SECRETS,
  VALIDATING_WEBHOOKS,
  type WebhookConfiguration,
} from '../core-resources.ts';
import { type Installation, startInstallation } from '../installation.fixture.ts';
import { fingerprint, newNamespace, replica } from './replica.fixture.ts';

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
let started: Promise<Installation> | undefined;
async function installation(): Promise<Installation> {
  started ??= startInstallation().then((it) => stack.use(it));
  return started;
}

const WITH = needs(...KUBE_PROGRAMS);

test('two replicas that start at once agree on one authority and one signer', WITH, async () => {
  const it = await installation();
  const namespace = await newNamespace(it, false);
  const both = [replica(it, namespace), replica(it, namespace)];
  await Promise.allSettled(both.map((one) => one.reconcile()));
  // Who lost a race for a ConfigMap or Secret sees it at his next try.
  await Promise.all(both.map((one) => one.reconcile()));
  const [a, b] = both;
  assert.ok(a !== undefined && b !== undefined);
  assert.equal(fingerprint(a), fingerprint(b));
  const { 'ca.crt': ca, 'signer.pem': signer } = await a.trust();
  assert.equal(ca, a.keeper.bundle && trustPem(a.keeper.bundle));
  assert.match(signer ?? '', /BEGIN PUBLIC KEY/);
  assert.deepEqual(await a.signing.keyFile(), await b.signing.keyFile());
  const keys = await loadKeys({ content: await a.signing.keyFile(), from: 'the Secret' });
  assert.equal(keys.description.keys.map(({ publicKey }) => publicKey ?? '').join(''), signer);
});

test('a second look writes nothing', WITH, async () => {
  const it = await installation();
  const one = replica(it, await newNamespace(it));
  await one.reconcile();
  const versions = async (): Promise<(string | undefined)[]> => {
    const names = ['etcdguardian-authority', 'etcdguardian-webhook-tls', 'etcdguardian-signing'];
    const secrets = await Promise.all(names.map((name) => one.secret(name)));
    return secrets.map(({ metadata }) => metadata.resourceVersion);
  };
  const before = await versions();
  await one.reconcile();
  assert.deepEqual(await versions(), before);
});

test('a Secret that is deleted while we know the authority is put back, not replaced', WITH, async () => {
  const it = await installation();
  const one = replica(it, await newNamespace(it));
  await one.reconcile();
  const before = fingerprint(one);
  const keys = await one.signing.keyFile();
  for (const name of ['etcdguardian-authority', 'etcdguardian-signing'])
    await it.kube.delete({ resource: SECRETS, namespace: one.namespace, name });
  await one.reconcile();
  assert.equal(fingerprint(one), before);
  assert.ok(one.told.includes('AuthorityPutBack'));
  const restarted = replica(it, one.namespace);
  await restarted.reconcile();
  assert.equal(fingerprint(restarted), before);
  assert.deepEqual(await restarted.signing.keyFile(), keys);
});

test('an authority that is lost is never replaced silently; the hint’s way out works', WITH, async () => {
  const it = await installation();
  const namespace = await newNamespace(it);
  const before = replica(it, namespace);
  await before.reconcile();
  await it.kube.delete({ resource: SECRETS, namespace, name: 'etcdguardian-authority' });
  const restarted = replica(it, namespace);
  await assert.rejects(
    restarted.reconcile(),
    (error) => hasCode(error, 'controlplane.authority-lost') && /delete .* ca\.crt/.test(error.hint ?? ''),
  );
  assert.deepEqual(restarted.told, ['AuthorityUnusable']);
  await it.kube.mergePatch(
    { resource: CONFIG_MAPS, namespace, name: 'etcdguardian-trust' },
    { data: { 'ca.crt': null } },
  );
  await restarted.reconcile();
  assert.notEqual(fingerprint(restarted), fingerprint(before));
  assert.equal(
    (await restarted.trust())['ca.crt'],
    restarted.keeper.bundle && trustPem(restarted.keeper.bundle),
  );
});

const DAMAGES: readonly { name: string; data: (it: Installation) => Promise<object>; says: RegExp }[] = [
  {
    name: 'with half of its entries',
    data: () => Promise.resolve({ 'signer.key': null }),
    says: /has no signer\.key/,
  },
  {
    name: 'with nonsense in it',
    data: () => Promise.resolve({ 'rotation.json': Buffer.from('{').toString('base64') }),
    says: /can't be read/,
  },
  {
    name: 'of another cluster',
    data: async () =>
      toSecretData({
        signer: await createAuthority({ cluster: 'another', namespace: 'etcd-guardian-system' }, new Date()),
        retired: [],
      }),
    says: /holds the authority of cluster another/,
  },
];

for (const { name, data, says } of DAMAGES) {
  test(`a Secret ${name} is left as it is, and what was good before stays`, WITH, async () => {
    const it = await installation();
    const one = replica(it, await newNamespace(it));
    await one.reconcile();
    const good = fingerprint(one);
    const reference = { resource: SECRETS, namespace: one.namespace, name: 'etcdguardian-authority' };
    const damaged = await it.kube.mergePatch<Secret>(reference, { data: await data(it) });
    for (const each of [one, replica(it, one.namespace)]) {
      await assert.rejects(
        each.reconcile(),
        (error) =>
          hasCode(error, 'controlplane.authority') && says.test(error.message) && error.hint !== undefined,
      );
    }
    assert.equal(fingerprint(one), good);
    assert.ok(await one.keeper.current());
    assert.equal(
      (await one.secret('etcdguardian-authority')).metadata.resourceVersion,
      damaged.metadata.resourceVersion,
    );
  });
}

test(
  'webhook configurations of ours get the caBundle, others stay; the webhook gets its certificate',
  WITH,
  async () => {
    const it = await installation();
    const namespace = await newNamespace(it);
    const service = (name: string) => ({ service: { namespace, name, path: '/mutate' } });
    const webhook = (name: string, clientConfig: object) => ({
      ...{ name, clientConfig, sideEffects: 'None', admissionReviewVersions: ['v1'], rules: [] },
    });
    for (const resource of [MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS]) {
      await it.kube.create(resource, undefined, {
        metadata: { name: `ours-${namespace}`, labels: { of: namespace } },
        webhooks: [
          webhook('one.etcdguardian.io', service('etcdguardian-webhook')),
          webhook('two.etcdguardian.io', service('somebody-else')),
        ],
      });
    }
    const one = replica(it, namespace);
    await one.reconcile();
    const ca = Buffer.from((await one.trust())['ca.crt'] ?? '').toString('base64');
    for (const resource of [MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS]) {
      const kept = await it.kube.get<WebhookConfiguration>({ resource, name: `ours-${namespace}` });
      assert.deepEqual(
        kept.webhooks?.map(({ clientConfig }) => clientConfig.caBundle),
        [ca, undefined],
      );
    }
    const tls = async (): Promise<X509Certificate> => {
      const { data } = await one.secret('etcdguardian-webhook-tls');
      return new X509Certificate(Buffer.from(data?.['tls.crt'] ?? '', 'base64'));
    };
    const first = await tls();
    assert.equal(
      first.checkHost(`etcdguardian-webhook.${namespace}.svc`),
      `etcdguardian-webhook.${namespace}.svc`,
    );
    // What others write there is replaced: nobody trusts it for itself.
    await it.kube.mergePatch(
      { resource: SECRETS, namespace, name: 'etcdguardian-webhook-tls' },
      { data: { 'tls.key': 'bm9uc2Vuc2U=' } },
    );
    await one.reconcile();
    assert.notEqual((await tls()).fingerprint256, first.fingerprint256);
  },
);

test(
  'a rotation waits for agents, then switches, and drops the old authority when nobody needs it',
  WITH,
  async () => {
    const it = await installation();
    const DAY = 86_400_000;
    let now = Date.now();
    let agentEnds = now + 6 * DAY;
    const agents = () => [agentUntil(agentEnds)];
    const one = replica(it, await newNamespace(it), { clock: () => new Date(now), agents });
    await one.reconcile();
    const first = fingerprint(one);
    const reference = { resource: SECRETS, namespace: one.namespace, name: 'etcdguardian-authority' };
    await it.kube.mergePatch(reference, { metadata: { annotations: { 'etcdguardian.io/rotate': 'now' } } });

    await one.reconcile();
    const { annotations } = (await one.secret('etcdguardian-authority')).metadata;
    assert.equal(annotations?.['etcdguardian.io/rotate'], undefined);
    assert.equal(fingerprint(one), first, 'nobody trusts the next one yet');
    await one.reconcile();
    assert.equal((await one.trust())['ca.crt']?.match(/BEGIN CERT/g)?.length, 2);

    now += 2 * DAY;
    await one.reconcile();
    assert.equal(fingerprint(one), first);
    assert.ok(
      one.lines.some(({ event, message }) => event === 'rotation-waits' && message.includes('node-1')),
    );

    agentEnds = now + 7 * DAY;
    await one.reconcile();
    assert.notEqual(fingerprint(one), first);
    await one.reconcile();
    const { data } = await one.secret('etcdguardian-webhook-tls');
    const webhook = new X509Certificate(Buffer.from(data?.['tls.crt'] ?? '', 'base64'));
    assert.ok(one.keeper.bundle && webhook.checkIssued(one.keeper.bundle.signer.certificate));

    now += 366 * DAY;
    agentEnds = now + 7 * DAY;
    await one.reconcile();
    await one.reconcile();
    assert.equal((await one.trust())['ca.crt']?.match(/BEGIN CERT/g)?.length, 1);
    assert.deepEqual(
      one.told.filter((reason) => reason.startsWith('Authorit')),
      ['AuthorityCreated', 'AuthorityIntroduced', 'AuthoritySwitched', 'AuthoritiesDropped'],
    );
  },
);

test('after a theft the old authority is dropped at once, when asked for', WITH, async () => {
  const it = await installation();
  const DAY = 86_400_000;
  let now = Date.now();
  const one = replica(it, await newNamespace(it), {
    clock: () => new Date(now),
    agents: () => [agentUntil(now + 7 * DAY)],
  });
  const reference = { resource: SECRETS, namespace: one.namespace, name: 'etcdguardian-authority' };
  const ask = (what: string): Promise<unknown> =>
    it.kube.mergePatch(reference, { metadata: { annotations: { [`etcdguardian.io/${what}`]: 'now' } } });
  const trusted = async (): Promise<number | undefined> =>
    (await one.trust())['ca.crt']?.match(/BEGIN CERT/g)?.length;
  await one.reconcile();
  const stolen = one.keeper.bundle?.signer;
  assert.ok(stolen);
  await ask('rotate');
  await one.reconcile();
  now += 2 * DAY;
  await one.reconcile();
  await one.reconcile();
  assert.notEqual(fingerprint(one), stolen.certificate.fingerprint256);
  assert.equal(await trusted(), 2, 'it stays trusted for a while');

  await ask('drop-retired');
  await one.reconcile();
  await one.reconcile();
  assert.equal(await trusted(), 1);
  assert.ok(!(await one.trust())['ca.crt']?.includes(stolen.certificate.toString()));
  const { annotations } = (await one.secret('etcdguardian-authority')).metadata;
  assert.equal(annotations?.['etcdguardian.io/drop-retired'], undefined);
  // A replica that starts now knows nothing of it either.
  const restarted = replica(it, one.namespace, { clock: () => new Date(now) });
  await restarted.reconcile();
  assert.deepEqual(restarted.keeper.bundle?.retired, []);
});

test('an agent whose certificate is not renewed is told of, once', WITH, async () => {
  const it = await installation();
  const soon = agentUntil(Date.now() + 3_600_000);
  const one = replica(it, await newNamespace(it), { agents: () => [soon] });
  await one.reconcile();
  await one.reconcile();
  assert.deepEqual(
    one.told.filter((reason) => reason.startsWith('Certificate')),
    ['CertificateExpiring'],
  );
});

function agentUntil(certificateEndsMs: number): KnownAgent {
  return {
    ...{ node: 'node-1', podName: 'agent-1', podUid: 'u-1', address: '127.0.0.1:1', describedAt: new Date() },
    ...{ problem: undefined, clockSkewMs: 0, description: { ...NOTHING, certificateEndsMs } },
  };
}

const NOTHING: Description = {
  ...{
    node: 'node-1',
    version: '',
    instance: 'i',
    term: 0n,
    termHolder: '',
    termOperation: '',
    timeMs: 0,
    etcd: undefined,
  },
  ...{ problems: [], certificateEndsMs: 0, tasks: [], captures: [], restores: [], hooksAllowed: false },
  ...{ attachmentsAllowed: false, architecture: 'amd64' },
};
