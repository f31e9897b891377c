import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { systemClock } from '../clock.ts';
import type { Credentials } from './credentials.ts';
import { type ForgedCertificate, forgedCertificate } from './forged-certificate.fixture.ts';
import { identityUri, type PeerIdentity } from './identity.ts';
import {
  agentOf,
  BREAK_GLASS,
  CLUSTER,
  CONTROL_PLANE,
  credentialsFor,
  DAY_MS,
  later,
  newAuthority,
  WEBHOOK,
} from './installation.fixture.ts';
import { createKey, privateKeyPem } from './key-pair.ts';
import { admitClient, clientTls, serverTls, webhookTls } from './mutual-tls.ts';
import type { ExpectedPeer } from './peer-identity.ts';
import { talk } from './tls-talk.fixture.ts';

const authority = await newAuthority();
const agent = await credentialsFor(authority, agentOf('node-1'));
const controlPlane = await credentialsFor(authority, CONTROL_PLANE);
const alice = await credentialsFor(authority, BREAK_GLASS);
const webhook = await credentialsFor(authority, WEBHOOK, {
  dnsNames: ['etcdguardian-webhook.etcd-guardian-system.svc'],
});

const CALLERS: ExpectedPeer = { cluster: CLUSTER, roles: ['control-plane', 'break-glass'] };
const NODE_1: ExpectedPeer = { cluster: CLUSTER, roles: ['agent'], node: 'node-1' };

const admitted = (socket: TLSSocket): PeerIdentity => admitClient(socket, agent, CALLERS, new Date());

for (const [caller, identity] of [
  [controlPlane, CONTROL_PLANE],
  [alice, BREAK_GLASS],
] as const) {
  test(`${identity.role} and an agent know each other over TLS 1.3, whatever the address`, async () => {
    const spoken = await talk(serverTls(agent), clientTls(caller, NODE_1, systemClock), admitted);
    assert.deepEqual(spoken, { client: identity, protocol: 'TLSv1.3' });
  });
}

test('agents know each other, where they are expected', async () => {
  const other = await credentialsFor(authority, agentOf('node-2'));
  const spoken = await talk(serverTls(agent), clientTls(other, NODE_1, systemClock), (socket) =>
    admitClient(socket, agent, { cluster: CLUSTER, roles: ['agent'] }, new Date()),
  );
  assert.deepEqual(spoken.client, agentOf('node-2'));
  await assert.rejects(talk(serverTls(agent), clientTls(other, NODE_1, systemClock), admitted), {
    code: 'pki.role',
  });
});

const WRONG_SERVERS: readonly { what: string; server: () => Promise<Credentials>; says: object }[] = [
  {
    what: "another node's agent",
    server: () => credentialsFor(authority, agentOf('node-2')),
    says: { code: 'pki.node' },
  },
  { what: 'the control plane', server: () => Promise.resolve(controlPlane), says: { code: 'pki.role' } },
  {
    what: 'a server whose certificate has ended',
    server: () =>
      credentialsFor(authority, agentOf('node-1'), { now: new Date(Date.now() - 5000), lifeMs: 1000 }),
    says: { code: 'CERT_HAS_EXPIRED' },
  },
  {
    what: 'a server from the future',
    server: () => credentialsFor(authority, agentOf('node-1'), { now: later(new Date(), DAY_MS) }),
    says: { code: 'CERT_NOT_YET_VALID' },
  },
  {
    what: 'a client-only identity',
    server: () => Promise.resolve(alice),
    says: { code: 'INVALID_PURPOSE' },
  },
  {
    what: "another installation's agent",
    server: async () => credentialsFor(await newAuthority(), agentOf('node-1')),
    says: { message: /unable to get local issuer|self.signed certificate|unable to verify/ },
  },
];

for (const { what, server, says } of WRONG_SERVERS) {
  test(`${what} is not taken for the agent of node-1`, async () => {
    const answering = { ...serverTls(await server()), requestCert: false };
    await assert.rejects(talk(answering, clientTls(controlPlane, NODE_1, systemClock), admitted), says);
  });
}

const WRONG_CLIENTS: readonly { what: string; client: () => Promise<Credentials>; says: RegExp }[] = [
  {
    what: "another installation's control plane",
    client: async () => {
      const theirs = await credentialsFor(await newAuthority(), CONTROL_PLANE);
      return { ...theirs, ca: agent.ca, authorities: agent.authorities };
    },
    says: /ERR_SSL|certificate|peer|socket|handshake/i,
  },
  {
    what: 'a server-only identity',
    client: () => Promise.resolve(webhook),
    says: /certificate|peer|socket/i,
  },
];

for (const { what, client, says } of WRONG_CLIENTS) {
  test(`${what} doesn't get through to an agent`, async () => {
    const tried = talk(serverTls(agent), clientTls(await client(), NODE_1, systemClock), admitted).then(
      (spoken) => {
        throw spoken.client instanceof Error ? spoken.client : new Error('it was let in');
      },
    );
    await assert.rejects(tried, { message: says });
  });
}

test("a client without a certificate doesn't get through", async () => {
  const known = clientTls(controlPlane, NODE_1, systemClock);
  const { client } = await talk(serverTls(agent), { ...known, cert: undefined, key: undefined }, admitted);
  assert.ok(client instanceof Error);
  assert.match(client.message, /peer did not return a certificate/i);
});

const BEYOND: readonly { what: string; names: Partial<ForgedCertificate>; says: RegExp }[] = [
  {
    what: 'an identity in another cluster',
    names: { uris: [identityUri(agentOf('node-1', 'other'))] },
    says: /permitted subtree violation/,
  },
  {
    what: 'a Service of another namespace',
    names: { uris: [identityUri(agentOf('node-1'))], dnsNames: ['kubernetes.default.svc'] },
    says: /permitted subtree violation/,
  },
  {
    what: 'an address',
    names: { uris: [identityUri(agentOf('node-1'))], addresses: [Uint8Array.of(127, 0, 0, 1)] },
    says: /excluded subtree violation/,
  },
];

for (const { what, names, says } of BEYOND) {
  test(`TLS stacks refuse what our authority may not sign, even where its key did: ${what}`, async () => {
    const key = await createKey();
    const leaf = forgedCertificate({ key, now: new Date(), issuer: authority, ...names });
    const server = { cert: leaf.toString(), key: privateKeyPem(key) };
    const anyone: ConnectionOptions = { ca: agent.ca, checkServerIdentity: () => undefined };
    await assert.rejects(
      talk(server, anyone, () => WEBHOOK),
      { message: says },
    );
  });
}

test('an authority below ours is none, to TLS stacks and to us', async () => {
  const [middleKey, key] = [await createKey(), await createKey()];
  const uris = [identityUri(agentOf('node-1'))];
  const now = new Date();
  const middle = forgedCertificate({ key: middleKey, now, uris, isAuthority: true, issuer: authority });
  const leaf = forgedCertificate({ key, now, uris, issuer: { certificate: middle, key: middleKey } });
  const chain = { cert: leaf.toString() + middle.toString(), key: privateKeyPem(key) };
  const anyone: ConnectionOptions = { ca: agent.ca, checkServerIdentity: () => undefined };
  await assert.rejects(talk(chain, anyone, admitted), { code: 'PATH_LENGTH_EXCEEDED' });
  const alone = { cert: middle.toString(), key: privateKeyPem(middleKey) };
  const known = clientTls(controlPlane, NODE_1, systemClock);
  await assert.rejects(talk(alone, known, admitted), { code: 'pki.not-a-leaf' });
});

test('the API server finds the webhook by its name, and nobody else under it', async () => {
  const asApiServer = (servername: string): ConnectionOptions => ({ ca: webhook.ca, servername });
  const anybody = (): PeerIdentity => WEBHOOK;
  const name = 'etcdguardian-webhook.etcd-guardian-system.svc';
  await talk(webhookTls(webhook), asApiServer(name), anybody);
  for (const [server, asked] of [
    [webhookTls(webhook), 'kubernetes.default.svc'],
    [webhookTls(controlPlane), name],
  ] as const)
    await assert.rejects(talk(server, asApiServer(asked), anybody), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});
