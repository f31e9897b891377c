import assert from 'node:assert/strict';
import dns from 'node:dns';
import { test } from 'node:test';
import { type ProxyAction, s3ErrorBody, startHttpProxy } from '../../test/harness/http-proxy.ts';
import { GuardianError } from '../guardian-error.ts';
import { collect } from './conformance-bytes.ts';
import type { S3Settings } from './s3-settings.ts';
import { impatient } from './s3-store.fixture.ts';
import { RetryingStore } from './retrying-store.ts';
import { S3Store } from './s3-store.ts';

interface Case {
  readonly answer: ProxyAction;
  readonly code: string;
  readonly retryable?: boolean;
  readonly hint?: RegExp;
}

function says(status: number, code: string, message?: string): ProxyAction {
  return {
    kind: 'answer',
    status,
    body: s3ErrorBody(code, message),
    headers: { 'content-type': 'application/xml' },
  };
}

/** What S3 servers and what stands before them say, and what that is to us. */
const cases: Case[] = [
  { answer: says(404, 'NoSuchBucket'), code: 'store.missing', hint: /bucket/ },
  { answer: says(404, 'XAdminUserNotFound'), code: 'store.denied', hint: /access key/ },
  { answer: says(403, 'AccessDenied'), code: 'store.denied', hint: /s3:PutObject/ },
  { answer: says(403, 'InvalidAccessKeyId'), code: 'store.denied', hint: /access key/ },
  { answer: says(403, 'SignatureDoesNotMatch'), code: 'store.denied', hint: /secret/ },
  { answer: says(400, 'ExpiredToken'), code: 'store.denied', hint: /expired/ },
  { answer: says(403, 'RequestTimeTooSkewed'), code: 'store.denied', hint: /clock/ },
  { answer: says(403, 'SomethingNew'), code: 'store.denied' },
  { answer: says(301, 'PermanentRedirect'), code: 'store.settings', hint: /region/ },
  {
    answer: {
      ...says(301, 'PermanentRedirect'),
      headers: { 'x-amz-bucket-region': 'eu-west-1' },
    } as ProxyAction,
    code: 'store.settings',
    hint: /region=eu-west-1/,
  },
  { answer: says(400, 'AuthorizationHeaderMalformed'), code: 'store.settings', hint: /region/ },
  { answer: says(503, 'SlowDown'), code: 'store.busy', retryable: true },
  { answer: says(500, 'InternalError'), code: 'store.busy', retryable: true },
  { answer: says(400, 'RequestTimeout'), code: 'store.busy', retryable: true },
  { answer: says(429, 'TooManyRequests'), code: 'store.busy', retryable: true },
  { answer: says(409, 'OperationAborted'), code: 'store.busy', retryable: true },
  { answer: says(409, 'ConditionalRequestConflict'), code: 'store.busy', retryable: true },
  { answer: says(507, 'InsufficientStorage'), code: 'store.full', hint: /quota/ },
  { answer: says(507, 'XMinioStorageFull'), code: 'store.full', hint: /quota/ },
  { answer: says(403, 'QuotaExceeded'), code: 'store.full', hint: /quota/ },
  { answer: says(501, 'NotImplemented'), code: 'store.unsupported' },
  {
    answer: says(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration'),
    code: 'store.unsupported',
  },
  { answer: says(400, 'InvalidRequest', 'something else'), code: 'store.failed' },
  {
    answer: says(400, 'InvalidArgument', "Unsupported header 'x-amz-checksum-crc32'"),
    code: 'store.unsupported',
    hint: /checksum=md5/,
  },
  { answer: says(418, 'Teapot'), code: 'store.failed' },
  {
    answer: { kind: 'answer', status: 502, body: '<html>Bad Gateway</html>' },
    code: 'store.busy',
    retryable: true,
  },
  { answer: { kind: 'answer', status: 503, body: '' }, code: 'store.busy', retryable: true },
  { answer: { kind: 'answer', status: 504, body: 'timeout' }, code: 'store.busy', retryable: true },
  { answer: { kind: 'answer', status: 403, body: 'go away' }, code: 'store.denied' },
  {
    answer: { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:9/' } },
    code: 'store.settings',
  },
  { answer: { kind: 'break' }, code: 'store.unreachable', retryable: true, hint: /network/ },
];

function storeAt(endpoint: string, changes: Partial<S3Settings> = {}): S3Store {
  const credentials = { kind: 'static', accessKeyId: 'a', secretAccessKey: 'very-secret' } as const;
  const settings = { kind: 's3', bucket: 'bucket', prefix: 'p', endpoint, credentials } as const;
  return new S3Store({ ...settings, ...changes }, { retries: impatient });
}

/** Of `20300101T000000Z`. */
function signedAt(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3:$4:$5Z'));
}

async function thrownBy(call: Promise<unknown>): Promise<GuardianError> {
  const thrown: unknown = await call.then(
    () => assert.fail('resolved'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof GuardianError, String(thrown));
  return thrown;
}

test('every answer has its code, a message that names the thing, and a hint', async () => {
  let answer: ProxyAction = { kind: 'break' };
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => answer);
  const store = storeAt(proxy.endpoint);
  for (const expected of cases) {
    ({ answer } = expected);
    const what = JSON.stringify(answer);
    for (const [call, name] of [
      [() => store.list('here').next(), 'listing here in s3://bucket/p'],
      [() => collect(store.get('there')), 'reading object there in s3://bucket/p'],
    ] as const) {
      const error = await thrownBy(call());
      assert.equal(error.code, expected.code, `${what}: ${error.message}`);
      assert.equal(error.retryable, expected.retryable ?? false, what);
      assert.ok(error.message.startsWith(`${name}: `), error.message);
      if (expected.hint !== undefined) assert.match(error.hint ?? '', expected.hint, what);
    }
  }
});

test('a page from somewhere is neither a list nor an object', async () => {
  let body = '';
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => ({
    kind: 'answer',
    status: 200,
    body,
  }));
  const store = storeAt(proxy.endpoint);
  for (body of ['', '<html>Welcome!</html>', 'It works!', '{"ok":true}']) {
    for (const call of [
      () => store.list('').next(),
      () => collect(store.get('there')),
      () => store.stat('there'),
    ]) {
      const error = await thrownBy(call());
      assert.match(error.code, /^store\.(unsupported|unreachable)$/, body);
      assert.match(error.hint ?? '', /endpoint/);
      assert.doesNotMatch(error.message, /\n|\$response/);
    }
  }
});

test('a list that is not found is no empty list', async () => {
  const body = '<html>Not here</html>';
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => ({
    kind: 'answer',
    status: 404,
    body,
  }));
  const error = await thrownBy(storeAt(proxy.endpoint).list('').next());
  assert.equal(error.code, 'store.settings');
  assert.match(error.hint ?? '', /endpoint/);
});

test('answers to HEAD, which have no body, are told apart by their status', async () => {
  let status = 200;
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => ({ kind: 'answer', status }));
  const store = storeAt(proxy.endpoint);
  for (const [given, code] of [
    [200, 'store.unsupported'],
    [301, 'store.settings'],
    [403, 'store.denied'],
    [404, 'store.not-found'],
    [412, 'store.exists'],
    [429, 'store.busy'],
    [500, 'store.busy'],
    [503, 'store.busy'],
    [507, 'store.full'],
  ] as const) {
    status = given;
    assert.equal((await thrownBy(store.stat('x'))).code, code, String(given));
  }
});

test('a success whose body says that it failed has failed', async () => {
  await using proxy = await startHttpProxy('http://127.0.0.1:9', ({ method, url }) => {
    if (method === 'POST' && url.includes('uploads')) {
      const body = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>';
      return { kind: 'answer', status: 200, body };
    }
    if (method === 'POST') return { kind: 'answer', status: 200, body: s3ErrorBody('InternalError') };
    return { kind: 'answer', status: 200, headers: { etag: '"e"' } };
  });
  const store = storeAt(proxy.endpoint, { firstPartBytes: 1000 });
  async function* body(): AsyncGenerator<Uint8Array, void> {
    await Promise.resolve();
    yield Buffer.alloc(3000);
  }
  assert.equal((await thrownBy(store.put('x', body()))).code, 'store.busy');
  const completes = proxy.seen.filter(({ method, url }) => method === 'POST' && url.includes('uploadId'));
  assert.equal(completes.length, impatient.attempts);
});

test('nobody there, an unknown name, not HTTP: each says what to check', async (t) => {
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => ({ kind: 'break' }));
  const plain = proxy.endpoint.replace('http:', 'https:');
  const refused = await thrownBy(storeAt('http://127.0.0.1:1').stat('x'));
  assert.equal(refused.code, 'store.unreachable');
  assert.ok(refused.retryable);
  const tls = await thrownBy(storeAt(plain).stat('x'));
  assert.equal(tls.code, 'store.unreachable');
  assert.equal(tls.retryable, false);
  assert.match(tls.hint ?? '', /http or https/);
  // As a name server answers that is neither slow nor away.
  t.mock.method(dns, 'lookup', ((name: string, _options: object, answer: (error: Error) => void) => {
    const message = `getaddrinfo ENOTFOUND ${name}`;
    answer(Object.assign(new Error(message), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: name }));
  }) as unknown as typeof dns.lookup);
  const unknown = await thrownBy(storeAt('http://no-such-host.invalid', { pathStyle: false }).stat('x'));
  assert.equal(unknown.code, 'store.unreachable');
  assert.match(`${unknown.message} ${unknown.hint ?? ''}`, /bucket\.no-such-host\.invalid.*virtual-host/);
});

test("a wrong clock is set right by the server's, and the call repeated", async () => {
  const wrongBy = 3_600_000;
  const date = new Date(Date.now() + wrongBy).toUTCString();
  await using proxy = await startHttpProxy('http://127.0.0.1:9', ({ index }) => {
    if (index > 0) return { kind: 'answer', status: 200, headers: { etag: '"e"', date } };
    return { kind: 'answer', status: 403, body: s3ErrorBody('RequestTimeTooSkewed'), headers: { date } };
  });
  const store = new RetryingStore(storeAt(proxy.endpoint), impatient);
  await store.putIfAbsent('x', Buffer.from('x'));
  const [before, after] = proxy.seen.map(({ headers }) => signedAt(String(headers['x-amz-date'])));
  assert.ok(before !== undefined && after !== undefined);
  assert.ok(Math.abs(after - before - wrongBy) < 60_000, `${before} ${after}`);
});

test('a missing region is told', async () => {
  const names = ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_CONFIG_FILE'];
  const kept = names.map((name) => process.env[name]);
  for (const name of names) Reflect.deleteProperty(process.env, name);
  process.env.AWS_CONFIG_FILE = '/nonexistent/config';
  try {
    const credentials = { kind: 'static', accessKeyId: 'a', secretAccessKey: 'b' } as const;
    const error = await thrownBy(
      new S3Store({ kind: 's3', bucket: 'bucket', prefix: '', credentials }).stat('x'),
    );
    assert.equal(error.code, 'store.settings');
    assert.match(error.hint ?? '', /region/);
  } finally {
    names.forEach((name, index) => {
      const value = kept[index];
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    });
  }
});

test('no message holds the secret', async () => {
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => says(403, 'SignatureDoesNotMatch'));
  const error = await thrownBy(storeAt(proxy.endpoint).stat('x'));
  assert.doesNotMatch(`${error.message} ${error.hint ?? ''} ${error.stack ?? ''}`, /very-secret/);
});

test('a CA file that can not be read is told, and read again by the next call', async () => {
  const store = storeAt('https://127.0.0.1:1', { ca: { file: '/nonexistent/ca.pem' } });
  for (const name of ['first', 'second']) {
    const error = await thrownBy(store.stat(name));
    assert.equal(error.code, 'store.settings');
    assert.match(error.message, /ca\.pem/);
  }
});
