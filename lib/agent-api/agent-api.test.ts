import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { freePort } from '../../test/harness/free-port.ts';
import { systemClock } from '../clock.ts';
import { GuardianError } from '../guardian-error.ts';
import type { CredentialSource } from '../pki/credential-folder.ts';
import type { Credentials } from '../pki/credentials.ts';
import {
  agentOf,
  BREAK_GLASS,
  CONTROL_PLANE,
  credentialsFor,
  DAY_MS,
  later,
  newAuthority,
} from '../pki/installation.fixture.ts';
import { type AgentClient, connectAgent } from './agent-client.ts';
import { type AgentHandlers, type AgentServer, serveAgentApi } from './agent-server.ts';

const authority = await newAuthority();
const agent = await credentialsFor(authority, agentOf('node-1'));
const controlPlane = await credentialsFor(authority, CONTROL_PLANE);
const unexpected: unknown[] = [];
/** On a loaded machine; the pauses between two attempts to connect that this tells apart are longer. */
const AT_ONCE_MS = 5_000;

const stops: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function serve(
  handlers: AgentHandlers,
  source: CredentialSource = always(agent),
  port = 0,
): Promise<AgentServer> {
  const server = await serveAgentApi(handlers, {
    address: '127.0.0.1',
    port,
    credentials: source,
    clock: systemClock,
    onUnexpected: (_method, error) => unexpected.push(error),
  });
  stops.push(() => server.close(0));
  return server;
}

function always(credentials: Credentials): CredentialSource {
  return { current: () => Promise.resolve(credentials), complaint: undefined };
}

function client(port: number, credentials: Credentials | CredentialSource, node = 'node-1'): AgentClient {
  const made = connectAgent({
    ...{ address: `127.0.0.1:${port}`, node, credentials, clock: systemClock },
    // A loaded machine is no agent that is away.
    connectTimeoutMs: 60_000,
  });
  stops.push(() => {
    made.close();
  });
  return made;
}

const HANDLERS: AgentHandlers = {
  describe: (_request, { peer }) =>
    Promise.resolve({ node: 'node-1', term: 7n, termHolder: peer.role, etcd: { clusterId: 2n ** 64n - 1n } }),
  takeTerm: ({ atLeast }) =>
    Promise.reject(
      new GuardianError('agent.stale-term', `term ${atLeast} is past — “gone”\ud800`, {
        hint: 'take a higher one → again',
        retryable: true,
      }),
    ),
  restoreStatus: ({ operation }) => Promise.resolve({ operation, state: 'Staged' }),
  stopCapture: () => Promise.reject(new TypeError('a mistake')),
  async *takeBackup({ keys, store, labels, mode }) {
    await Promise.resolve();
    yield {
      step: 'Preparing',
      message: `${mode} ${store?.credentials['access-key-id'] ?? ''} ${labels.a ?? ''}`,
    };
    yield { step: 'Uploading', doneBytes: keys?.encryption.length ?? 0, totalBytes: 5e12 };
    yield { step: 'Done', backup: { point: { revision: 12n }, validation: { hashKv: 0xfedcba98 } } };
  },
};
const { port } = await serve(HANDLERS);

test('a call carries 64-bit numbers, absent messages and zero values whole', async () => {
  const described = await client(port, controlPlane).describe({});
  assert.equal(described.term, 7n);
  assert.equal(described.termHolder, 'control-plane');
  assert.equal(described.etcd?.clusterId, 2n ** 64n - 1n);
  assert.equal(described.etcd.unreachable, undefined);
  assert.deepEqual(described.tasks, []);
});

test('a stream carries its updates in order, and ends', async () => {
  const updates = [];
  const request = {
    fence: { operation: 'x', term: 1n },
    mode: 'INCREMENTAL',
    store: { credentials: { 'access-key-id': 'AK' } },
    keys: { encryption: new Uint8Array(32) },
    labels: { a: 'b' },
  } as const;
  for await (const update of client(port, controlPlane).takeBackup(request)) updates.push(update);
  assert.equal(updates[0]?.message, 'INCREMENTAL AK b');
  assert.deepEqual([updates[1]?.doneBytes, updates[1]?.totalBytes], [32, 5e12]);
  assert.equal(updates[2]?.backup?.point?.revision, 12n);
  assert.equal(updates[2].backup.validation?.hashKv, 0xfedcba98);
});

test('an error comes across with code, hint and whether to try again', async () => {
  await assert.rejects(client(port, controlPlane).takeTerm({ atLeast: 3n }), {
    name: 'GuardianError',
    code: 'agent.stale-term',
    message: 'term 3 is past — “gone”\ufffd',
    hint: 'take a higher one → again',
    retryable: true,
  });
});

test('a mistake in the agent is told to its log, and to the caller as a failure', async () => {
  await assert.rejects(client(port, controlPlane).stopCapture({}), { code: 'agent.failed' });
  assert.match(String(unexpected), /a mistake/);
});

test('what an agent does not do is unsupported', async () => {
  await assert.rejects(client(port, controlPlane).swap({}), { code: 'agent.unsupported' });
});

test('another agent may ask for the status of a restore, and for nothing else', async () => {
  const other = client(port, await credentialsFor(authority, agentOf('node-2')));
  assert.equal((await other.restoreStatus({ operation: 'r' })).state, 'Staged');
  await assert.rejects(other.describe({}), { code: 'pki.role' });
  await assert.rejects(other.takeBackup({}).next(), { code: 'pki.role' });
});

test('a break-glass identity may do what the control plane may', async () => {
  const alice = client(port, await credentialsFor(authority, BREAK_GLASS));
  assert.equal((await alice.describe({})).termHolder, 'break-glass');
});

test('another agent at the address is not taken for the one of the node', async () => {
  await assert.rejects(client(port, controlPlane, 'node-9').describe({}), {
    code: 'agent.identity',
    message: /node-9.*the agent of node-1/,
  });
});

test('certificates that ended, on either side, are told apart from an agent that is away', async () => {
  const brief = { now: later(new Date(), -5_000), lifeMs: 1_000 };
  const ended = await credentialsFor(authority, CONTROL_PLANE, brief);
  await assert.rejects(client(port, ended).describe({}), {
    code: 'agent.certificate',
    message: /refuses ours|our certificate/,
  });
  const old = await serve(HANDLERS, always(await credentialsFor(authority, agentOf('node-1'), brief)));
  await assert.rejects(client(old.port, controlPlane).describe({}), {
    code: 'agent.certificate',
    message: /expired/,
  });
  const foreign = await credentialsFor(await newAuthority(), CONTROL_PLANE);
  await assert.rejects(client(port, foreign).describe({}), { code: 'agent.certificate' });
  const gone = await serve(HANDLERS, always(agent), await freePort());
  await gone.close(0);
  await assert.rejects(client(gone.port, controlPlane).describe({}), {
    code: 'agent.unreachable',
    retryable: true,
  });
});

test('an agent that is gone is told at once, however often it is asked, and one that is back as well', async () => {
  // One that nobody is given meanwhile.
  const first = await serve(HANDLERS, always(agent), await freePort());
  const caller = client(first.port, controlPlane);
  await caller.describe({});
  await first.close(0);
  for (let asked = 1; asked <= 5; asked += 1) {
    const before = performance.now();
    await assert.rejects(caller.describe({}), {
      code: /^agent.(unreachable|connection-lost)$/,
      retryable: true,
    });
    const tookMs = performance.now() - before;
    assert.ok(tookMs < AT_ONCE_MS, `call ${asked} took ${tookMs} ms`);
  }
  await serve(HANDLERS, always(agent), first.port);
  const before = performance.now();
  await caller.describe({});
  assert.ok(performance.now() - before < AT_ONCE_MS);
});

test('a certificate that ends while its connection stands ends what it may do', async () => {
  let now = new Date();
  const server = await serveAgentApi(HANDLERS, {
    ...{ address: '127.0.0.1', port: 0, credentials: always(agent), onUnexpected: () => undefined },
    clock: () => now,
  });
  stops.push(() => server.close(0));
  const caller = client(server.port, await credentialsFor(authority, CONTROL_PLANE, { lifeMs: DAY_MS }));
  await caller.describe({});
  now = later(now, 2 * DAY_MS);
  await assert.rejects(caller.describe({}), { code: 'pki.expired' });
});

test('renewed credentials are used from the next call on, without a restart', async () => {
  let current = controlPlane;
  const source: CredentialSource = { current: () => Promise.resolve(current), complaint: undefined };
  const caller = client(port, source);
  await caller.describe({});
  current = await credentialsFor(authority, BREAK_GLASS);
  assert.equal((await caller.describe({})).termHolder, 'break-glass');
});

test('a caller that gives up gets its reason, and the agent sees it go', async () => {
  const asked = Promise.withResolvers<undefined>();
  const seen = Promise.withResolvers<unknown>();
  const { port: at } = await serve({
    describe: (_request, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          seen.resolve(signal.reason);
          reject(new Error('left'));
        });
        asked.resolve(undefined);
      }),
  });
  const ask = (when: Promise<unknown>): Promise<unknown> => {
    const leaving = new AbortController();
    void when.then(() => {
      leaving.abort(new Error('enough'));
    });
    return client(at, controlPlane).describe({}, { signal: leaving.signal, timeoutMs: 120_000 });
  };
  await assert.rejects(ask(new Promise((resolve) => setImmediate(resolve))), /enough/);
  await assert.rejects(ask(asked.promise), /enough/);
  assert.match(String(await seen.promise), /hung up/);
  await assert.rejects(client(at, controlPlane).describe({}, { timeoutMs: 1_500 }), {
    code: 'agent.deadline',
    retryable: true,
  });
});
