import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAuthority } from '../../../test/harness/certificates.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { sample } from '../../../test/harness/sampling.ts';
import { startToxiproxy } from '../../../test/harness/toxiproxy.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { EtcdCompactedError } from './compacted-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import type { EtcdClient } from './etcd-client.ts';
import { etcd3Source } from './etcd3.ts';
import type { EtcdSettings } from './etcd-settings.ts';

const EVERYTHING = { key: '\0', rangeEnd: '\0' };

/** Puts so many values, several at a time. */
async function put(settings: EtcdSettings, count: number, value: Buffer): Promise<void> {
  using source = etcd3Source(settings);
  const client = await source.current();
  const keys = Array.from({ length: count }, (_, index) => index);
  const writers = Array.from({ length: 8 }, async () => {
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) await client.put(`/${key}`).value(value);
  });
  await Promise.all(writers);
}

/** The main revisions of `count` events, from `startRevision` on. */
async function revisions(client: EtcdClient, startRevision: bigint, count: number): Promise<number[]> {
  const seen: number[] = [];
  for await (const { events } of client.watchPacked({ ...EVERYTHING, startRevision })) {
    seen.push(...events.revisions.subarray(0, events.count));
    if (seen.length >= count) break;
  }
  return seen;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 2);

/** Rejects as the watch does, once it stands and `then` was done. */
async function whileWatching(client: EtcdClient, then: () => unknown, signal?: AbortSignal): Promise<void> {
  for await (const { kind } of client.watchPacked({ ...EVERYTHING, signal })) {
    if (kind === 'created') await then();
  }
}

// At once, since some wait for seconds.
describe('a packed watch', { concurrency: true }, () => {
  for (const version of sample(ETCD_VERSIONS, 2, 'packed watches')) {
    test(
      `of etcd ${version} tells each change once and in order, as they come and all at once`,
      needs(`etcd ${version}`),
      async () => {
        await using etcd = await startEtcd({ version });
        const settings = { endpoints: [etcd.endpoint] };
        await using client = connectEtcd(settings);
        const live = revisions(client, 2n, 3_000);
        await put(settings, 3_000, Buffer.alloc(1_500, 'v'));
        assert.deepEqual(await live, upTo(3_000));
        assert.deepEqual(await revisions(client, 2n, 3_000), upTo(3_000));
      },
    );
  }

  test('comes over TLS with a client certificate, also large', needs('etcd 3.6.16'), async () => {
    await using authority = await createAuthority();
    const { certificateFile, keyFile } = await authority.issue({ uses: ['client'] });
    const tls = { caFile: authority.certificateFile, certFile: certificateFile, keyFile };
    await using etcd = await startEtcd({ tls: { authority, clientCertAuth: true } });
    // An address isn't for the client of keys.
    const settings = { endpoints: [etcd.endpoint.replace('127.0.0.1', 'localhost')], tls };
    await using client = connectEtcd(settings);
    const live = revisions(client, 2n, 1_000);
    await put(settings, 1_000, Buffer.alloc(1_500, 'v'));
    assert.deepEqual(await live, upTo(1_000));
    await put(settings, 40, Buffer.alloc(1 << 20, 'v'));
    assert.deepEqual(await revisions(client, 2n, 1_040), upTo(1_040));
    await assert.rejects(
      whileWatching(client, () => etcd.kill()),
      (error) => hasCode(error, 'etcd.connection-lost') && error.retryable,
    );
  });

  test('ends with its signal, its client and its member', needs('etcd 3.6.16'), async () => {
    await using etcd = await startEtcd();
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const stop = new AbortController();
    const reason = new Error('enough');
    await assert.rejects(
      whileWatching(
        client,
        () =>
          void setImmediate(() => {
            stop.abort(reason);
          }),
        stop.signal,
      ),
      (error) => error === reason,
    );
    const other = connectEtcd({ endpoints: [etcd.endpoint] });
    await assert.rejects(
      whileWatching(other, () => void other.close()),
      (error) => hasCode(error, 'etcd.closed'),
    );
    await assert.rejects(
      whileWatching(client, () => etcd.kill()),
      (error) => hasCode(error, 'etcd.connection-lost') && error.retryable,
    );
    // One that has no connection yet: the other may not have noticed that its own is gone.
    await using late = connectEtcd({ endpoints: [etcd.endpoint] });
    await assert.rejects(revisions(late, 2n, 1), (error) => hasCode(error, 'etcd.refused'));
  });

  test('ends when the connection is cut', needs('etcd 3.6.16', 'toxiproxy-server'), async () => {
    await using etcd = await startEtcd();
    await using toxiproxy = await startToxiproxy();
    const proxy = await toxiproxy.createProxy(etcd.address);
    await using client = connectEtcd({ endpoints: [proxy.address] });
    await assert.rejects(
      whileWatching(client, () => proxy.addToxic({ type: 'reset_peer', afterMs: 0 })),
      (error) => hasCode(error, 'etcd.connection-lost') && error.retryable,
    );
  });

  test(
    'ends by itself when nothing comes any more, though nothing is expected',
    needs('etcd 3.6.16', 'toxiproxy-server'),
    async () => {
      await using etcd = await startEtcd();
      await using toxiproxy = await startToxiproxy();
      const proxy = await toxiproxy.createProxy(etcd.address);
      await using client = connectEtcd({ endpoints: [proxy.address] });
      const begun = Date.now();
      await assert.rejects(
        whileWatching(client, () => proxy.addToxic({ type: 'timeout', afterMs: 0 })),
        (error) => hasCode(error, 'etcd.connection-lost') && error.message.includes('silent'),
      );
      assert.ok(Date.now() - begun < 120_000);
    },
  );

  test('tells of a compaction', needs('etcd 3.6.16', 'etcdctl 3.6.16'), async () => {
    await using etcd = await startEtcd();
    const settings = { endpoints: [etcd.endpoint] };
    await using client = connectEtcd(settings);
    await put(settings, 10, Buffer.alloc(1));
    await etcd.etcdctl('compaction', '6');
    await assert.rejects(
      revisions(client, 2n, 10),
      (error) => error instanceof EtcdCompactedError && error.compactRevision === 6n,
    );
  });

  test('is held back by a slow reader, and loses nothing', needs('etcd 3.6.16'), async () => {
    await using etcd = await startEtcd();
    const settings = { endpoints: [etcd.endpoint] };
    await using client = connectEtcd(settings);
    let written: Promise<void> | undefined;
    const seen: number[] = [];
    for await (const { kind, events } of client.watchPacked({ ...EVERYTHING, startRevision: 2n })) {
      if (kind === 'created') await (written = put(settings, 200, Buffer.alloc(100_000, 'v')));
      seen.push(...events.revisions.subarray(0, events.count));
      if (seen.length === 200) break;
    }
    assert.deepEqual(seen, upTo(200));
    await written;
  });
});
