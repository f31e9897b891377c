import assert from 'node:assert/strict';
import dns from 'node:dns';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type Authority, createAuthority } from '../../test/harness/certificates.ts';
import { startHttpProxy } from '../../test/harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs } from '../../test/harness/tools.ts';
import { GuardianError } from '../guardian-error.ts';
import { digest, MIB, randomBody } from './conformance-bytes.ts';
import { rejectsWith } from './conformance-writing.ts';
import { probePutIfAbsent } from './put-if-absent-probe.ts';
import { credentialsProvider } from './s3-credentials.ts';
import { bucketSettings, openBucket } from './s3-store.fixture.ts';
import type { S3Credentials, S3Settings } from './s3-settings.ts';
import type { S3Store } from './s3-store.ts';

let authority: Authority;
let server: S3Server;
let secure: S3Server;

before(async () => {
  authority = await createAuthority();
  [server, secure] = await Promise.all([
    startS3Server({ versioning: true, virtualDomain: 'localhost' }),
    startS3Server({ tls: { authority } }),
  ]);
  await server.createBucket('backups');
  await server.createBucket('locked', { objectLock: true });
  await secure.createBucket('backups');
});

after(async () => {
  await server[Symbol.asyncDispose]();
  await secure[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

async function roundTrip(store: S3Store, size = 9 * MIB): Promise<void> {
  await store.put('object', randomBody('trip', size));
  assert.deepEqual(await digest(store.get('object')), await digest(randomBody('trip', size)));
}

/** Every kind of call fails the same way, also while a body larger than the socket's buffers is being sent. */
async function refusesAll(
  changes: Partial<S3Settings>,
  code: string,
  hint: RegExp,
  of = server,
): Promise<void> {
  const store = openBucket(of, changes);
  const calls = [
    () => store.putIfAbsent('x', Buffer.alloc(7 * MIB)),
    () => store.put('x', randomBody('refused', 9 * MIB)),
    () => store.get('x').next(),
    () => store.list('').next(),
    () => store.sweepStaleUploads(new Date()),
  ];
  for (const call of calls) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof GuardianError);
      assert.equal(error.code, code, `${String(call)}: ${error.message}`);
      assert.equal(error.retryable, false);
      assert.match(error.hint ?? '', hint);
      return true;
    });
  }
}

test('a wrong access key and a wrong secret are denied, with a hint', needs('versitygw'), async () => {
  const { accessKeyId, secretAccessKey } = server;
  const unknown: S3Credentials = { kind: 'static', accessKeyId: 'nobody', secretAccessKey };
  const wrong: S3Credentials = { kind: 'static', accessKeyId, secretAccessKey: 'wrong' };
  await refusesAll({ credentials: unknown }, 'store.denied', /access key/);
  await refusesAll({ credentials: wrong }, 'store.denied', /secret/);
});

test('a bucket that is not there is told', needs('versitygw'), async () => {
  await refusesAll({ bucket: 'no-such-bucket' }, 'store.missing', /bucket/);
});

test('TLS by a CA of our own works, from a file and from a value', needs('versitygw'), async () => {
  await using folder = await temporaryFolder();
  const file = folder.join('ca.pem');
  await writeFile(file, authority.certificate);
  await roundTrip(openBucket(secure, { ca: { file } }));
  await roundTrip(openBucket(secure, { ca: { pem: authority.certificate } }));
});

test('a certificate of an unknown or of another CA is refused for good', needs('versitygw'), async () => {
  await using other = await createAuthority('another authority');
  await refusesAll({}, 'store.unreachable', /CA/, secure);
  await refusesAll({ ca: { pem: other.certificate } }, 'store.unreachable', /CA/, secure);
});

test(
  'https where http is spoken is told; http where https is spoken fails too',
  needs('versitygw'),
  async () => {
    const https = server.endpoint.replace('http:', 'https:');
    await refusesAll({ endpoint: https }, 'store.unreachable', /http or https/);
    const http = openBucket(secure, { endpoint: secure.endpoint.replace('https:', 'http:') });
    await assert.rejects(http.stat('x'), GuardianError);
  },
);

test('virtual-host style reaches the bucket by name', needs('versitygw'), async (t) => {
  const asked: string[] = [];
  t.mock.method(dns, 'lookup', ((name: string, _options: object, answer: (...args: unknown[]) => void) => {
    asked.push(name);
    answer(null, [{ address: '127.0.0.1', family: 4 }]);
  }) as unknown as typeof dns.lookup);
  const endpoint = server.endpoint.replace('127.0.0.1', 'localhost');
  await roundTrip(openBucket(server, { endpoint, pathStyle: false }));
  assert.deepEqual([...new Set(asked)], ['backups.localhost']);
});

test(
  'keys come from a file, which is read again when they are asked for anew',
  needs('versitygw'),
  async () => {
    await using folder = await temporaryFolder();
    const path = folder.join('credentials');
    const write = (profile: string, key: string): Promise<void> =>
      writeFile(
        path,
        `[${profile}]\naws_access_key_id = ${key}\naws_secret_access_key = ${server.secretAccessKey}\n`,
      );
    await write('default', server.accessKeyId);
    await roundTrip(openBucket(server, { credentials: { kind: 'file', path } }), 1000);
    await write('backups', server.accessKeyId);
    await roundTrip(openBucket(server, { credentials: { kind: 'file', path, profile: 'backups' } }), 1000);

    const now = new Date('2030-01-01T00:00:00Z');
    const provider = credentialsProvider({ kind: 'file', path, profile: 'backups' }, () => now);
    const first = await provider();
    await write('backups', 'rotated');
    const second = await provider();
    assert.deepEqual([first.accessKeyId, second.accessKeyId], [server.accessKeyId, 'rotated']);
    // The SDK asks again five minutes before this.
    assert.equal(first.expiration?.toISOString(), '2030-01-01T00:10:00.000Z');
  },
);

test('a file without keys, or none, is denied with a hint', needs('versitygw'), async () => {
  await using folder = await temporaryFolder();
  const empty = folder.join('empty');
  await writeFile(empty, '');
  await refusesAll({ credentials: { kind: 'file', path: empty } }, 'store.denied', /[Cc]redentials/);
  const absent = folder.join('absent');
  await refusesAll({ credentials: { kind: 'file', path: absent } }, 'store.denied', /[Cc]redentials/);
});

// No real STS runs here, and the S3 server takes no session tokens: both are doubles that look at what is sent.
test('a role is assumed once with the token in a file, and its session token sent', async () => {
  await using folder = await temporaryFolder();
  const tokenFile = folder.join('token');
  await writeFile(tokenFile, 'the-projected-token');
  const body = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>role-key</AccessKeyId>
    <SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-session</SessionToken>
    <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
    </AssumeRoleWithWebIdentityResponse>`;
  const headers = { 'content-type': 'text/xml', etag: '"made up"' };
  await using sts = await startHttpProxy('http://127.0.0.1:9', () => ({
    kind: 'answer',
    status: 200,
    body,
    headers,
  }));
  await using s3 = await startHttpProxy('http://127.0.0.1:9', () => ({
    kind: 'answer',
    status: 200,
    headers,
  }));
  const roleArn = 'arn:aws:iam::123456789012:role/backups';
  const credentials: S3Credentials = { kind: 'web-identity', roleArn, tokenFile, stsEndpoint: sts.endpoint };
  const store = openBucket(server, { credentials, endpoint: s3.endpoint });
  await store.putIfAbsent('one', Buffer.from('x'));
  await store.putIfAbsent('two', Buffer.from('x'));
  assert.equal(sts.seen.length, 1);
  assert.equal(s3.seen.length, 2);
  for (const { headers: sent } of s3.seen) {
    assert.equal(sent['x-amz-security-token'], 'role-session');
    assert.match(String(sent.authorization), /Credential=role-key\//);
  }
});

test('a session token goes with static keys', async () => {
  const headers = { etag: '"made up"' };
  await using s3 = await startHttpProxy('http://127.0.0.1:9', () => ({
    kind: 'answer',
    status: 200,
    headers,
  }));
  const credentials = { kind: 'static', accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' } as const;
  await openBucket(server, { credentials, endpoint: s3.endpoint }).putIfAbsent('one', Buffer.from('x'));
  assert.deepEqual(
    s3.seen.map(({ headers: sent }) => sent['x-amz-security-token']),
    ['c'],
  );
});

test('an object with a retention is locked, in the mode that was chosen', needs('versitygw'), async () => {
  const { S3 } = await import('@aws-sdk/client-s3');
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  const client = new S3({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  const retainUntil = new Date(Date.now() + 3_600_000);
  retainUntil.setMilliseconds(0);
  for (const objectLock of [undefined, 'COMPLIANCE'] as const) {
    const settings = bucketSettings(server, { bucket: 'locked', objectLock });
    const store = openBucket(server, settings);
    await store.putIfAbsent('small', Buffer.from('x'), { retainUntil });
    await store.put('large', randomBody('locked', 9 * MIB), { retainUntil });
    for (const name of ['small', 'large']) {
      const { Retention } = await client.getObjectRetention({
        Bucket: 'locked',
        Key: `${settings.prefix}/${name}`,
      });
      assert.equal(Retention?.Mode, objectLock ?? 'GOVERNANCE');
      assert.equal(Retention.RetainUntilDate?.getTime(), retainUntil.getTime());
    }
  }
  client.destroy();
});

test('a retention in a bucket without Object Lock is refused, not ignored', needs('versitygw'), async () => {
  const retainUntil = new Date(Date.now() + 3_600_000);
  const store = openBucket(secure, { ca: { pem: authority.certificate } });
  await rejectsWith('store.unsupported', store.putIfAbsent('x', Buffer.from('x'), { retainUntil }));
  await rejectsWith('store.unsupported', store.put('x', randomBody('x', 9 * MIB), { retainUntil }));
});

test('the probe passes a real server, with and without versions', needs('versitygw'), async () => {
  assert.equal(await probePutIfAbsent(openBucket(server)), true);
  assert.equal(await probePutIfAbsent(openBucket(secure, { ca: { pem: authority.certificate } })), true);
});

test('the probe recognises a server that ignores If-None-Match', needs('versitygw'), async () => {
  const direct = openBucket(server, { prefix: 'ignoring' });
  // The condition is signed and can't be taken off; what it would protect can.
  await using proxy = await startHttpProxy(server.endpoint, async ({ method, url, headers }) => {
    const [, name] = /^\/backups\/ignoring\/([^?]*)/.exec(url) ?? [];
    if (method === 'PUT' && headers['if-none-match'] === '*' && name !== undefined) await direct.delete(name);
    return { kind: 'pass' };
  });
  const ignoring = openBucket(server, { prefix: 'ignoring', endpoint: proxy.endpoint });
  assert.equal(await probePutIfAbsent(ignoring), false);
  for await (const { name } of direct.list('')) assert.fail(`the probe left ${name}`);
});
