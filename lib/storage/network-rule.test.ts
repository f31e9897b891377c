import assert from 'node:assert/strict';
import { createServer, type RequestListener, request } from 'node:http';
import { type AddressInfo, isIP, type LookupFunction } from 'node:net';
import { test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { GuardianError } from '../guardian-error.ts';
import { guardedAgents, type NetworkRule } from './network-rule.ts';
import { openStore } from './open-store.ts';

const strict = (...allowed: string[]): NetworkRule => ({ publicOnly: true, allowed });

async function server(
  listener: RequestListener,
): Promise<AsyncDisposable & { port: number; asked: () => number }> {
  let asked = 0;
  const http = createServer((incoming, response) => {
    asked += 1;
    listener(incoming, response);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    port: (http.address() as AddressInfo).port,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** A resolver of a name server that belongs to an attacker: each question gets the next answer. */
function resolver(...answers: readonly (readonly string[])[]): LookupFunction {
  let at = 0;
  return (_host, options, callback) => {
    const found = (answers[Math.min(at, answers.length - 1)] ?? []).map((address) => ({
      address,
      family: isIP(address),
    }));
    at += 1;
    if (options.all === true) callback(null, found);
    else callback(null, found[0]?.address ?? '', found[0]?.family);
  };
}

/** The status that a request ends with, or the code of its error. */
async function ask(url: string, rule: NetworkRule, lookup?: LookupFunction): Promise<number | string> {
  const agents = guardedAgents(rule, { http: {}, https: {} }, lookup);
  return await new Promise((resolve) => {
    const sent = request(url, { agent: agents.http }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', (error: Error & { code?: string }) => {
      resolve(error.code ?? error.message);
    });
    sent.end();
  });
}

const REFUSED = 'store.forbidden-address';

for (const host of [
  '127.0.0.1',
  '2130706433',
  '0x7f.1',
  '017700000001',
  '127.1',
  '[::ffff:127.0.0.1]',
  '0.0.0.0',
])
  test(`http://${host} is refused before anything is sent`, async () => {
    await using local = await server((_request, response) => response.end());
    assert.equal(await ask(`http://${host}:${local.port}/`, strict()), REFUSED);
    assert.equal(local.asked(), 0);
  });

for (const address of [
  '169.254.169.254',
  '100.100.100.200',
  '10.0.0.1',
  '192.168.0.1',
  'fe80::1',
  'fd00::1',
  '::',
  '224.0.0.1',
])
  test(`a name that leads to ${address} is refused`, async () => {
    assert.equal(await ask('http://store.example/', strict(), resolver([address])), REFUSED);
  });

test('a name that meant another address a moment ago is judged by the one that is connected to', async () => {
  await using local = await server((_request, response) => response.end());
  const rebinding = resolver(['93.184.216.34'], ['127.0.0.1']);
  // Somebody looks it up, and finds nothing wrong.
  rebinding('store.example', {}, () => undefined);
  assert.equal(await ask(`http://store.example:${local.port}/`, strict(), rebinding), REFUSED);
  assert.equal(local.asked(), 0);
});

test('of several addresses only the good ones are tried', async () => {
  await using local = await server((_request, response) => response.end());
  const both = resolver(['169.254.169.254', '127.0.0.1']);
  assert.equal(await ask(`http://store.example:${local.port}/`, strict('127.0.0.0/8'), both), 200);
  assert.equal(await ask(`http://store.example:${local.port}/`, strict(), both), REFUSED);
});

test('a full name that is allowed may lead inside, on its port; a wildcard may not, and no name to metadata', async () => {
  await using local = await server((_request, response) => response.end());
  const inside = resolver(['127.0.0.1']);
  const url = `http://store.example:${local.port}/`;
  assert.equal(await ask(url, strict('store.example'), inside), 200);
  assert.equal(await ask(url, strict(`store.example:${local.port}`), inside), 200);
  assert.equal(await ask(url, strict('store.example:1'), inside), REFUSED);
  assert.equal(await ask(url, strict('*.example', '*'), inside), REFUSED);
  assert.equal(await ask(url, strict('store.example'), resolver(['169.254.169.254'])), REFUSED);
});

test('without the rule everything is as it was', async () => {
  await using local = await server((_request, response) => response.end());
  assert.equal(await ask(`http://127.0.0.1:${local.port}/`, { publicOnly: false, allowed: [] }), 200);
});

async function failureOf(port: number, network: NetworkRule): Promise<GuardianError> {
  const store = await openStore({
    ...{ kind: 's3', bucket: 'bucket', prefix: '', region: 'us-east-1', network },
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { kind: 'static', accessKeyId: 'a', secretAccessKey: 's' },
  });
  const failure: unknown = await buffer(store.get('object')).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof GuardianError);
  return failure;
}

test('a store that may not be there is refused without a request', async () => {
  await using local = await server((_request, response) => response.end('secret'));
  const error = await failureOf(local.port, strict());
  assert.equal(error.code, REFUSED);
  assert.equal(local.asked(), 0);
});

test('a redirect is not followed', async () => {
  await using inner = await server((_request, response) => response.end('secret'));
  await using outer = await server((_request, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/latest/meta-data` }).end();
  });
  const error = await failureOf(outer.port, strict('127.0.0.0/8'));
  assert.equal(error.code, 'store.settings');
  assert.equal(inner.asked(), 0);
});

for (const [what, body] of [
  ['text', 'the-secret'],
  ['an error of S3', '<Error><Code>AccessDenied</Code><Message>the-secret</Message></Error>'],
  ['a code of its own', '<Error><Code>the-secret 1</Code><Message>x</Message></Error>'],
] as const) {
  test(`nothing of an answer gets into an error: ${what}`, async () => {
    await using local = await server((_request, response) => {
      response
        .writeHead(403, { 'content-type': 'application/xml', 'x-amz-bucket-region': 'the-secret' })
        .end(body);
    });
    const error = await failureOf(local.port, strict('127.0.0.0/8'));
    assert.doesNotMatch([error.message, error.hint, String(error.cause)].join(' '), /the-secret/);
    assert.equal(error.code, 'store.denied');
  });
}
