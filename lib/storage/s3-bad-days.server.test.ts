import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type HttpProxy,
  type ProxyScript,
  s3ErrorBody,
  startHttpProxy,
} from '../../test/harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { startToxiproxy, type Toxiproxy } from '../../test/harness/toxiproxy.ts';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { needs } from '../../test/harness/tools.ts';
import { collect, digest, MIB, randomBody, randomBytes } from './conformance-bytes.ts';
import { assertAbsent, rejectsWith } from './conformance-writing.ts';
import { RetryingStore } from './retrying-store.ts';
import { bucketSettings, impatient, openBucket } from './s3-store.fixture.ts';
import { S3Store } from './s3-store.ts';

const PART = 5 * MIB;
const FUTURE = new Date('2100-01-01T00:00:00Z');
const quick = { firstPartBytes: PART };
const slowDown = { kind: 'answer', status: 503, body: s3ErrorBody('SlowDown') } as const;
const pass = { kind: 'pass' } as const;

let server: S3Server;
let toxiproxy: Toxiproxy;

before(async () => {
  [server, toxiproxy] = await Promise.all([startS3Server(), startToxiproxy()]);
  await server.createBucket('backups');
});

after(async () => {
  await server[Symbol.asyncDispose]();
  await toxiproxy[Symbol.asyncDispose]();
});

interface Through extends AsyncDisposable {
  readonly store: S3Store;
  readonly proxy: HttpProxy;
  /** The same objects, with nothing in between. */
  readonly direct: S3Store;
}

async function through(script: ProxyScript): Promise<Through> {
  const proxy = await startHttpProxy(server.endpoint, script);
  const settings = bucketSettings(server, quick);
  const direct = new S3Store(settings);
  const store = new S3Store({ ...settings, endpoint: proxy.endpoint }, { retries: impatient });
  return { store, proxy, direct, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

test(
  'an upload gets through a store that refuses or breaks every fourth request',
  needs('versitygw'),
  async () => {
    const random = seededRandom(3);
    const moods = [slowDown, { kind: 'break' }, { kind: 'answer', status: 500 }] as const;
    await using opened = await through(() => (random.next() < 0.25 ? random.pick(moods) : pass));
    const size = 8 * PART + 17;
    const stored = await opened.store.put('object', randomBody('stubborn', size));
    assert.equal(stored.size, size);
    assert.deepEqual(await digest(opened.direct.get('object')), await digest(randomBody('stubborn', size)));
    assert.equal(await opened.direct.sweepStaleUploads(FUTURE), 0);
  },
);

test('an upload whose last reply was lost has succeeded, whole or in parts', needs('versitygw'), async () => {
  for (const size of [100, 3 * PART]) {
    const lost = new Set<string>();
    await using opened = await through(({ method, url, headers }) => {
      const makesVisible = headers['if-none-match'] === '*' && (method === 'PUT' || url.includes('uploadId'));
      if (!makesVisible || lost.has(url)) return pass;
      lost.add(url);
      return { kind: 'lose-answer' };
    });
    const stored = await opened.store.put('object', randomBody('lost', size));
    assert.equal(lost.size, 1);
    assert.equal(stored.version, (await opened.direct.stat('object')).version);
    assert.equal(stored.size, size);
    assert.deepEqual(await digest(opened.direct.get('object')), await digest(randomBody('lost', size)));
  }
});

test(
  "a lost reply is not mistaken for another's object, not even of the same bytes",
  needs('versitygw'),
  async () => {
    for (const size of [100, 2 * PART]) {
      let refused = false;
      await using opened = await through(async ({ method, url, headers }) => {
        const makesVisible =
          headers['if-none-match'] === '*' && (method === 'PUT' || url.includes('uploadId'));
        if (!makesVisible || refused) return pass;
        refused = true;
        await opened.direct.put('object', randomBody('same', size));
        return { kind: 'break' };
      });
      await rejectsWith('store.exists', opened.store.put('object', randomBody('same', size)));
      assert.equal(await opened.direct.sweepStaleUploads(FUTURE), 0);
    }
  },
);

test('an upload gives up on a store that stays busy, and leaves nothing', needs('versitygw'), async () => {
  for (const refused of ['partNumber=2', 'partNumber=3', 'uploads', 'uploadId=']) {
    await using opened = await through(({ method, url }) =>
      url.includes(refused) && method !== 'DELETE' ? slowDown : pass,
    );
    await rejectsWith('store.busy', opened.store.put('object', randomBody('busy', 3 * PART)));
    await assertAbsent(opened.direct, 'object');
    assert.equal(await opened.direct.sweepStaleUploads(FUTURE), 0, refused);
  }
});

test('what can not be cleaned up is left to the sweep', needs('versitygw'), async () => {
  await using opened = await through(({ method, url }) =>
    method === 'DELETE' || url.includes('partNumber=2') ? { kind: 'break' } : pass,
  );
  await rejectsWith('store.unreachable', opened.store.put('object', randomBody('left', 3 * PART)));
  await assertAbsent(opened.direct, 'object');
  assert.equal(await opened.direct.sweepStaleUploads(new Date(Date.now() - 3_600_000)), 0);
  assert.equal(await opened.direct.sweepStaleUploads(FUTURE), 1);
});

test('bytes that change on their way are refused and sent again', needs('versitygw'), async () => {
  for (const [signPayload, checksum] of [
    [false, 'crc32'],
    [true, 'crc32'],
    [false, 'md5'],
  ] as const) {
    for (const size of [1000, 3 * PART]) {
      let flips = 0;
      await using proxy = await startHttpProxy(server.endpoint, ({ method, url }) => {
        if (method !== 'PUT' || url.includes('partNumber=1') || flips > 0) return pass;
        flips += 1;
        return { kind: 'flip-bit', at: 500 };
      });
      const store = openBucket(server, { ...quick, endpoint: proxy.endpoint, signPayload, checksum });
      await store.put('object', randomBody('changed', size));
      assert.equal(flips, 1);
      assert.deepEqual(await digest(store.get('object')), await digest(randomBody('changed', size)));
      const tries = proxy.seen.filter(({ method }) => method === 'PUT');
      assert.equal(tries.length, 1 + Math.ceil(size / PART), 'one was sent twice');
      for (const { headers } of tries) {
        assert.match(
          String(headers.authorization),
          checksum === 'md5' ? /content-md5/ : /x-amz-checksum-crc32/,
          'the signature covers the checksum',
        );
        assert.equal(headers['x-amz-content-sha256'] === 'UNSIGNED-PAYLOAD', !signPayload);
      }
    }
  }
});

test('a reader goes on where its connection broke', needs('versitygw'), async () => {
  const cuts = [0, 1, 65_536, 3_000_000];
  await using opened = await through(({ method }) => {
    const afterBytes = method === 'GET' ? cuts.pop() : undefined;
    return afterBytes === undefined ? pass : { kind: 'cut-answer', afterBytes };
  });
  await opened.direct.put('object', randomBody('resumed', 9 * MIB));
  const store = new RetryingStore(opened.store, impatient);
  assert.deepEqual(await digest(store.get('object')), await digest(randomBody('resumed', 9 * MIB)));
  assert.equal(cuts.length, 0);
  const resumed = opened.proxy.seen.filter(({ headers }) => headers.range !== undefined);
  for (const { headers } of resumed) assert.ok(headers['if-match'] !== undefined);
});

test('a reader without retries gets a retryable error', needs('versitygw'), async () => {
  await using opened = await through(() => ({ kind: 'cut-answer', afterBytes: 1000 }));
  await opened.direct.putIfAbsent('object', await randomBytes('cut', 5000));
  await assert.rejects(collect(opened.store.get('object')), { code: 'store.unreachable', retryable: true });
});

test('a silent store is given up: for calls, uploads and readers', needs('versitygw'), async () => {
  const patient = bucketSettings(server, quick);
  const settings = { ...patient, idleTimeoutMs: 700 };
  const store = new S3Store(settings, { retries: { ...impatient, attempts: 2 } });
  // More than the kernel buffers on the way.
  await new S3Store(patient).put('object', randomBody('silent', 40 * MIB));
  // A loaded machine may be silent for so long, too.
  const reading = await eventually('a reader has begun', async () => {
    const begun = store.get('object');
    await begun.next();
    return begun;
  });
  server.pause();
  try {
    await rejectsWith('store.unreachable', collect(reading));
    await rejectsWith('store.unreachable', store.stat('object'));
    await rejectsWith('store.unreachable', store.list('').next());
    await rejectsWith('store.unreachable', store.put('other', randomBody('silent', 100)));
  } finally {
    server.resume();
  }
  assert.equal((await new S3Store(patient).stat('object')).size, 40 * MIB);
});

test('a slow network is not a silent one', needs('versitygw'), async () => {
  const proxy = await toxiproxy.createProxy(server.address);
  await proxy.addToxic({ type: 'bandwidth', kilobytesPerSecond: 1_200, direction: 'upstream' });
  const settings = {
    ...bucketSettings(server, quick),
    endpoint: `http://${proxy.address}`,
    // Less than a part takes, and long for every other call.
    idleTimeoutMs: 4_000,
  };
  const store = new S3Store(settings, { retries: { ...impatient, attempts: 1 } });
  await store.put('object', randomBody('slow', PART + 1000));
  assert.deepEqual(await digest(store.get('object')), await digest(randomBody('slow', PART + 1000)));
});

test('a reader slower than the idle timeout is not cut off', needs('versitygw'), async () => {
  const patient = bucketSettings(server, quick);
  const store = new S3Store({ ...patient, idleTimeoutMs: 3_000 });
  await new S3Store(patient).put('object', randomBody('slow reader', 12 * MIB));
  let size = 0;
  for await (const chunk of store.get('object')) {
    // The one thing to wait for here is that the timeout passes.
    if (size === 0) await new Promise((resolve) => setTimeout(resolve, 3_300));
    size += chunk.length;
  }
  assert.equal(size, 12 * MIB);
});

test('a store that dies in mid-upload and comes back is written on', needs('versitygw'), async () => {
  let restarted: Promise<void> | undefined;
  await using own = await startS3Server();
  await own.createBucket('backups');
  const store = new S3Store(bucketSettings(own, quick), {
    retries: { ...impatient, attempts: Infinity, longestDelayMs: 100, firstDelayMs: 50 },
  });
  async function* body(): AsyncGenerator<Uint8Array, void> {
    let given = 0;
    for await (const chunk of randomBody('revived', 6 * PART)) {
      if (given === 3 * PART) {
        await own.kill();
        restarted = own.restart();
      }
      given += chunk.length;
      yield chunk;
    }
  }
  await store.put('object', body());
  await restarted;
  assert.deepEqual(await digest(store.get('object')), await digest(randomBody('revived', 6 * PART)));
});

test('twenty writers through lost replies: exactly one wins', needs('versitygw'), async () => {
  await using opened = await through(({ index, method }) =>
    method === 'PUT' && index % 3 === 0 ? { kind: 'lose-answer' } : pass,
  );
  const store = new RetryingStore(opened.store, impatient);
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, writer) => store.putIfAbsent('fence', Buffer.from(`writer ${writer}`))),
  );
  const winners = results.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []));
  assert.equal(winners.length, 1);
  assert.equal((await collect(opened.direct.get('fence'))).toString(), `writer ${winners[0] ?? ''}`);
});

test('an unused open bucket needs no network', () => {
  assert.equal(
    openBucket(server, { endpoint: 'http://127.0.0.1:1', prefix: 'a/b' }).location,
    's3://backups/a/b',
  );
});
