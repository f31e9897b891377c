import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { systemClock } from '../lib/clock.ts';
import { LogLines } from '../lib/log-lines.ts';
import { saveCredentials } from '../lib/pki/credential-folder.ts';
import { credentialsFor, newAuthority, WEBHOOK } from '../lib/pki/installation.fixture.ts';
import { createAuthority } from '../test/harness/certificates.ts';
import { eventually } from '../test/harness/eventually.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { runWebhook } from './main.ts';
import { review } from './review.fixture.ts';
import { webhookSettings } from './settings.ts';

const SERVICE = 'etcdguardian-webhook.etcd-guardian-system.svc';

interface Running extends AsyncDisposable {
  post(path: string, body: string | Buffer): Promise<{ status: number; body: unknown; serial: string }>;
  pages(path: string): Promise<{ status: number; text: string }>;
  renew(): Promise<void>;
  stop(): Promise<void>;
}

/** The webhook with an API server that is played: here the bad days of one are wanted, which a real one doesn't have. */
async function startWebhook(api: RequestListener, env: Record<string, string> = {}): Promise<Running> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const apiAuthority = stack.use(await createAuthority());
  const serving = await apiAuthority.issue();
  const server = createServer({ cert: serving.certificate, key: serving.key }, api);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const kubeconfig = folder.join('kubeconfig');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [
        { name: 'c', cluster: { server: url, 'certificate-authority': apiAuthority.certificateFile } },
      ],
      users: [{ name: 'u', user: { token: 't' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const authority = await newAuthority();
  const renew = async (): Promise<void> => {
    await saveCredentials(
      folder.join('tls'),
      await credentialsFor(authority, WEBHOOK, { dnsNames: [SERVICE] }),
    );
  };
  const stop = new AbortController();
  const listening = Promise.withResolvers<{ readonly hooks: number; readonly pages: number }>();
  const settings = webhookSettings({
    ...{ ETCDGUARDIAN_KUBECONFIG: kubeconfig, ETCDGUARDIAN_LISTEN_HOST: '127.0.0.1' },
    ...{ ETCDGUARDIAN_WEBHOOK_PORT: '0', ETCDGUARDIAN_PAGES_PORT: '0', ETCDGUARDIAN_DRAIN_SECONDS: '0' },
    ETCDGUARDIAN_TLS_DIR: folder.join('tls'),
    ...env,
  });
  const running = runWebhook(settings, {
    ...{ clock: systemClock, signal: stop.signal, lookMs: 20, onListening: listening.resolve },
    log: new LogLines({ write: () => undefined }, systemClock, 'json'),
  });
  const stopped = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  stack.defer(stopped);
  // It waits for its certificate, which the control plane may be about to make.
  await renew();
  const ports = await listening.promise;
  const agent = new Agent({ ca: authority.certificate.toString(), servername: SERVICE });
  const owned = stack.move();
  return {
    renew,
    stop: stopped,
    post: (path, body) =>
      new Promise((resolve, reject) => {
        const options = {
          port: ports.hooks,
          path,
          method: 'POST',
          agent,
          headers: { 'content-type': 'application/json' },
        };
        const sent = request({ host: '127.0.0.1', ...options }, (response) => {
          const { socket } = response;
          const serial = socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : '';
          json(response).then((parsed) => {
            resolve({ status: response.statusCode ?? 0, body: parsed, serial });
          }, reject);
        });
        sent.on('error', reject);
        sent.end(body);
      }),
    pages: async (path) => {
      const response = await fetch(`http://127.0.0.1:${ports.pages}${path}`);
      return { status: response.status, text: await response.text() };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const silent: RequestListener = () => undefined;
const allowing: RequestListener = (incoming, response) => {
  incoming.resume();
  const isList = incoming.url?.includes('/namespaces') === true;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(isList ? { metadata: {}, items: [] } : { status: { allowed: true } }));
};
const VALID = JSON.stringify(review());

test('an answer has the uid of its question, and a patch where there is one', async () => {
  await using webhook = await startWebhook(allowing);
  const { status, body } = await webhook.post('/mutate', VALID);
  assert.equal(status, 200);
  const { apiVersion, kind, response } = body as {
    apiVersion: string;
    kind: string;
    response: Record<string, string>;
  };
  assert.deepEqual(
    [apiVersion, kind, response.uid, response.allowed, response.patchType],
    ['admission.k8s.io/v1', 'AdmissionReview', 'review-1', true, 'JSONPatch'],
  );
  assert.deepEqual(JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()), [
    { op: 'add', path: '/spec/requestedBy', value: { username: 'alice', groups: ['a'] } },
  ]);
});

for (const [what, body, expected] of [
  ['no JSON', '{', 400],
  ['no review', '{}', 400],
  ['a review of another kind', VALID.replace('"EtcdBackup"', '"Pod"'), 400],
  ['too much', Buffer.alloc(9 * 2 ** 20, ' '), 413],
] as const) {
  test(`${what} is answered with ${expected}`, async () => {
    await using webhook = await startWebhook(allowing);
    assert.equal((await webhook.post('/validate', body)).status, expected);
    assert.equal((await webhook.post('/mutate', VALID)).status, 200);
  });
}

test('a spec of wrong types is refused, and nothing breaks', async () => {
  await using webhook = await startWebhook(allowing);
  for (const spec of [
    { storageLocation: 7 },
    { storageLocation: null, hooks: [] },
    { backupTemplate: 'x' },
  ]) {
    const { body } = await webhook.post('/validate', JSON.stringify(review({ spec })));
    assert.equal((body as { response: { allowed: boolean } }).response.allowed, false);
  }
  assert.equal((await webhook.pages('/healthz')).status, 200);
});

test('an API server that says nothing is waited for no longer than the one that asks waits', async () => {
  await using webhook = await startWebhook(silent);
  const stamped = JSON.stringify(
    review({ spec: { ...specOf(VALID), requestedBy: { username: 'alice', groups: ['a'] } } }),
  );
  const { body } = await webhook.post('/validate?timeout=1s', stamped);
  assert.partialDeepStrictEqual(body, { response: { allowed: false, status: { code: 503 } } });
});

test('more questions than it can judge at a time are sent away, politely', async () => {
  const asked = Promise.withResolvers<undefined>();
  const answered = Promise.withResolvers<undefined>();
  const holding: RequestListener = (incoming, response) => {
    asked.resolve(undefined);
    void answered.promise.then(() => {
      allowing(incoming, response);
    });
  };
  await using webhook = await startWebhook(holding, { ETCDGUARDIAN_MAX_IN_FLIGHT: '1' });
  const stamped = JSON.stringify(
    review({ spec: { ...specOf(VALID), requestedBy: { username: 'alice', groups: ['a'] } } }),
  );
  const first = webhook.post('/validate', stamped);
  await asked.promise;
  const second = await webhook.post('/validate', stamped);
  answered.resolve(undefined);
  const { response } = second.body as { response: { allowed: boolean; status: { message: string } } };
  assert.equal(response.allowed, false);
  assert.match(response.status.message, /^too many requests/);
  assert.doesNotMatch(JSON.stringify((await first).body), /too many requests/);
});

test('a new certificate is served without a restart', async () => {
  await using webhook = await startWebhook(allowing);
  const { serial } = await webhook.post('/mutate', VALID);
  await webhook.renew();
  await eventually(
    'the new one is served',
    async () => (await webhook.post('/mutate', VALID)).serial !== serial,
  );
});

test('it is ready until it is told to stop, and then ends by itself', async () => {
  await using webhook = await startWebhook(allowing);
  assert.equal((await webhook.pages('/readyz')).status, 200);
  assert.match(
    (await webhook.pages('/metrics')).text,
    /etcdguardian_admission_certificate_until_timestamp_seconds \d+/,
  );
  await webhook.stop();
});

function specOf(text: string): object {
  return (JSON.parse(text) as { request: { object: { spec: object } } }).request.object.spec;
}
