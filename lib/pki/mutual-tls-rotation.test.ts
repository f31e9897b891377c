import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import {
  ChannelCredentials,
  Client,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import { systemClock } from '../clock.ts';
import type { Credentials } from './credentials.ts';
import {
  agentOf,
  CLUSTER,
  CONTROL_PLANE,
  credentialsFor,
  DAY_MS,
  later,
  newAuthority,
} from './installation.fixture.ts';
import { admitClient, clientTls, SERVER_NAME, serverTls } from './mutual-tls.ts';
import type { ExpectedPeer } from './peer-identity.ts';
import { listen, talk, talkTo } from './tls-talk.fixture.ts';

const CALLERS: ExpectedPeer = { cluster: CLUSTER, roles: ['control-plane'] };
const NODE_1: ExpectedPeer = { cluster: CLUSTER, roles: ['agent'], node: 'node-1' };

const before = await newAuthority();
const after = await newAuthority();
const both = [before, after];

/** Where a peer can stand in a rotation: whose certificate it has, whom it trusts. */
const STANDS = [
  { when: 'has heard of nothing', signer: before, trust: [before], phase: 1 },
  { when: 'trusts both, has its old certificate', signer: before, trust: both, phase: 2 },
  { when: 'has its new certificate', signer: after, trust: both, phase: 3 },
  { when: 'has forgotten the old authority', signer: after, trust: [after], phase: 4 },
] as const;

for (const server of STANDS) {
  for (const client of STANDS) {
    // Rotation goes on only when everyone has reached the phase before: no two are further apart than one.
    const close = Math.abs(server.phase - client.phase) <= 1;
    test(`an agent that ${server.when} and a control plane that ${client.when}: ${close ? 'connected' : 'refused'}`, async () => {
      const agent = await credentialsFor(server.signer, agentOf('node-1'), { trust: server.trust });
      const controlPlane = await credentialsFor(client.signer, CONTROL_PLANE, { trust: client.trust });
      const attempt = talk(serverTls(agent), clientTls(controlPlane, NODE_1, systemClock), (socket) =>
        admitClient(socket, agent, CALLERS, new Date()),
      );
      const connected = await attempt.then(
        (spoken) => !(spoken.client instanceof Error),
        () => false,
      );
      const trusting =
        new Set<unknown>(client.trust).has(server.signer) &&
        new Set<unknown>(server.trust).has(client.signer);
      assert.equal(connected, trusting);
      if (close) assert.ok(connected);
    });
  }
}

test('a server takes renewed credentials without a restart, and keeps its connections', async () => {
  const old = await credentialsFor(before, agentOf('node-1'), { trust: both });
  const controlPlane = await credentialsFor(before, CONTROL_PLANE, { trust: both });
  const options = clientTls(controlPlane, NODE_1, systemClock);
  await using listening = await listen(serverTls(old));
  const admit = (socket: TLSSocket): ReturnType<typeof admitClient> =>
    admitClient(socket, old, CALLERS, new Date());
  await talkTo(listening, options, admit);

  const open = connect({ host: '127.0.0.1', port: listening.port, ...options });
  const [[served]] = await Promise.all([
    once(listening.server, 'secureConnection') as Promise<[TLSSocket]>,
    once(open, 'secureConnect'),
  ]);
  const renewed = await credentialsFor(after, agentOf('node-1'), { trust: [after] });
  listening.server.setSecureContext(serverTls(renewed));
  // Whom the old context let in is judged by the new credentials at its next call.
  assert.throws(() => admitClient(served, renewed, CALLERS, new Date()), { code: 'pki.untrusted' });
  open.destroy();
  served.destroy();
  const successor = await credentialsFor(after, CONTROL_PLANE, { trust: both });
  const spoken = await talkTo(listening, clientTls(successor, NODE_1, systemClock), (socket) =>
    admitClient(socket, renewed, CALLERS, new Date()),
  );
  assert.deepEqual(spoken.client, CONTROL_PLANE);
});

test('a connection outlives its certificate, but is admitted to nothing more', async () => {
  const agent = await credentialsFor(before, agentOf('node-1'));
  const controlPlane = await credentialsFor(before, CONTROL_PLANE);
  const nextWeek = later(new Date(), 8 * DAY_MS);
  await talk(serverTls(agent), clientTls(controlPlane, NODE_1, systemClock), (socket) => {
    assert.throws(() => admitClient(socket, agent, CALLERS, nextWeek), { code: 'pki.expired' });
    return admitClient(socket, agent, CALLERS, new Date());
  });
  const tried = talk(
    serverTls(agent),
    clientTls(controlPlane, NODE_1, () => nextWeek),
    () => CONTROL_PLANE,
  );
  await assert.rejects(tried, { code: 'pki.expired' });
});

test('gRPC connects by address, and tells a call who its caller is', async () => {
  const agent = await credentialsFor(before, agentOf('node-1'));
  const server = new Server();
  const bytes = (value: Buffer): Buffer => value;
  const method = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  server.addService(
    { whoAmI: { ...method, path: '/test/WhoAmI', requestStream: false, responseStream: false } },
    {
      whoAmI: (
        call: ServerUnaryCall<Buffer, Buffer>,
        answer: (error: Error | null, value?: Buffer) => void,
      ) => {
        try {
          answer(null, Buffer.from(JSON.stringify(admitClient(callerOf(call), agent, CALLERS, new Date()))));
        } catch (error) {
          answer(error instanceof Error ? error : new Error(String(error)));
        }
      },
    },
  );
  const pair = { cert_chain: Buffer.from(agent.cert), private_key: Buffer.from(agent.key) };
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      '127.0.0.1:0',
      ServerCredentials.createSsl(Buffer.from(agent.ca), [pair], true),
      (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      },
    );
  });
  const ask = async (credentials: Credentials, expected: ExpectedPeer): Promise<unknown> => {
    const { checkServerIdentity } = clientTls(credentials, expected, systemClock);
    assert.ok(checkServerIdentity);
    const { ca, key, cert } = credentials;
    const channel = ChannelCredentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert), {
      checkServerIdentity,
    });
    const client = new Client(`127.0.0.1:${port}`, channel, { 'grpc.ssl_target_name_override': SERVER_NAME });
    try {
      return await new Promise((resolve, reject) => {
        client.makeUnaryRequest('/test/WhoAmI', bytes, bytes, Buffer.alloc(0), (error, value) => {
          if (error === null) resolve(JSON.parse(String(value)));
          else reject(error);
        });
      });
    } finally {
      client.close();
    }
  };
  try {
    const controlPlane = await credentialsFor(before, CONTROL_PLANE);
    assert.deepEqual(await ask(controlPlane, NODE_1), CONTROL_PLANE);
    await assert.rejects(ask(controlPlane, { ...NODE_1, node: 'node-2' }), { code: status.UNAVAILABLE });
    const other = await credentialsFor(before, agentOf('node-2'));
    await assert.rejects(ask(other, NODE_1), { message: /the agent of node-2 is not welcome here/ });
  } finally {
    server.forceShutdown();
  }
});

function callerOf(call: ServerUnaryCall<Buffer, Buffer>): PeerCertificate {
  const { sslPeerCertificate } = call.getAuthContext();
  assert.ok(sslPeerCertificate);
  return sslPeerCertificate;
}
