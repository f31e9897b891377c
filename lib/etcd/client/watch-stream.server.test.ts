import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { startEtcdCluster } from '../../../test/harness/etcd-cluster.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { startToxiproxy } from '../../../test/harness/toxiproxy.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { encodeKeyValue } from '../mvcc/key-value.ts';
import { EtcdCompactedError } from './compacted-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import { etcd3Source } from './etcd3.ts';
import type { WatchResponse, WatchStream } from './etcd-client.ts';

const EVERYTHING = { key: '\0', rangeEnd: '\0' };

// At once, since one of them waits for seconds.
describe('a watch', { concurrency: true }, () => {
  for (const version of ETCD_VERSIONS) {
    test(
      `of etcd ${version} tells every change of the key space in order, and what it certifies`,
      needs(`etcd ${version}`, `etcdctl ${version}`),
      async () => {
        await using etcd = await startEtcd({ version });
        await using client = connectEtcd({ endpoints: [etcd.endpoint] });
        await etcd.etcdctl('put', 'a', '1');
        await etcd.etcdctl('put', 'a', '2');
        const watch = client.watch({ ...EVERYTHING, startRevision: 3n, prevKv: true });
        const responses = watch[Symbol.asyncIterator]();
        const next = async (): Promise<WatchResponse> => {
          const result = await responses.next();
          assert.ok(result.done !== true);
          return result.value;
        };
        assert.equal((await next()).kind, 'created');

        await etcd.etcdctl('put', 'b', '3');
        await etcd.etcdctl('del', '', '--prefix');
        const events = [];
        while (events.length < 4) {
          const response = await next();
          assert.equal(response.kind, 'events');
          assert.equal(response.endpoint, etcd.endpoint);
          events.push(...response.events);
        }
        assert.deepEqual(
          events.map(({ type, kv, prevKv }) => {
            return [type, kv.key.toString(), kv.value.toString(), kv.modRevision, prevKv?.value.toString()];
          }),
          [
            ['put', 'a', '2', 3n, '1'],
            ['put', 'b', '3', 4n, undefined],
            ['delete', 'a', '', 5n, '2'],
            ['delete', 'b', '', 5n, '3'],
          ],
        );
        // What etcd keeps in its bucket `key` for a put is what it sends.
        for (const { kv, encoded } of events) assert.deepEqual(encoded, encodeKeyValue(kv));

        // etcd answers only once the watch has caught up, and says nothing before.
        const progress = next();
        await eventually('etcd certifies its progress', async () => {
          watch.requestProgress();
          return Promise.race([
            progress.then(() => true),
            once(AbortSignal.timeout(50), 'abort').then(() => false),
          ]);
        });
        const { kind, header } = await progress;
        assert.equal(kind, 'progress');
        assert.equal(header.revision, 5n);

        await etcd.etcdctl('compaction', '4');
        await assert.rejects(firstEvents(client.watch({ ...EVERYTHING, startRevision: 2n })), (error) => {
          assert.ok(error instanceof EtcdCompactedError && hasCode(error, 'etcd.compacted'));
          assert.equal(error.compactRevision, 4n);
          assert.equal(error.retryable, false);
          return true;
        });
      },
    );
  }

  test(
    'comes in fragments where a response is large, whole again unless they are asked for',
    needs('etcd 3.6.16'),
    async () => {
      await using etcd = await startEtcd();
      const total = await fill(etcd, 12);
      await using client = connectEtcd({ endpoints: [etcd.endpoint] });
      const request = { ...EVERYTHING, startRevision: 1n };

      const whole = await firstEvents(client.watch(request));
      assert.equal(whole.fragment, false);
      assert.equal(whole.events.length, total);

      const pieces: WatchResponse[] = [];
      for await (const response of client.watch({ ...request, reassemble: false })) {
        if (response.kind === 'events') pieces.push(response);
        if (response.kind === 'events' && !response.fragment) break;
      }
      assert.ok(pieces.length > 3, `${pieces.length} pieces`);
      assert.deepEqual(
        pieces.flatMap(({ events }) => events.map(({ kv }) => kv.modRevision)),
        whole.events.map(({ kv }) => kv.modRevision),
      );
      const unfragmented = await firstEvents(client.watch({ ...request, fragment: false }));
      assert.equal(unfragmented.events.length, total);
    },
  );

  test(
    'notices a cut network by itself, though nothing is expected',
    needs('etcd 3.6.16', 'toxiproxy-server'),
    async () => {
      await using etcd = await startEtcd();
      await using toxiproxy = await startToxiproxy();
      const proxy = await toxiproxy.createProxy(etcd.address);
      await using client = connectEtcd({ endpoints: [proxy.address] });
      const started = Date.now();
      await assert.rejects(
        async () => {
          for await (const { kind } of client.watch(EVERYTHING)) {
            assert.equal(kind, 'created');
            await proxy.addToxic({ type: 'timeout', afterMs: 0 });
          }
        },
        (error) => hasCode(error, 'etcd.connection-lost') && error.retryable,
      );
      assert.ok(Date.now() - started < 120_000);
    },
  );

  test('ends with its member, its signal, its client and its reader', needs('etcd 3.6.16'), async () => {
    await using etcd = await startEtcd();
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    for await (const { kind } of client.watch(EVERYTHING)) {
      assert.equal(kind, 'created');
      break;
    }
    const reason = new Error('enough');
    const controller = new AbortController();
    await assert.rejects(
      async () => {
        for await (const { kind } of client.watch({ ...EVERYTHING, signal: controller.signal })) {
          assert.equal(kind, 'created');
          controller.abort(reason);
        }
      },
      (error) => error === reason,
    );
    const other = connectEtcd({ endpoints: [etcd.endpoint] });
    await assert.rejects(
      async () => {
        for await (const { kind } of other.watch(EVERYTHING)) {
          assert.equal(kind, 'created');
          await other.close();
        }
      },
      (error) => hasCode(error, 'etcd.closed'),
    );
    await assert.rejects(
      async () => {
        for await (const { kind } of client.watch(EVERYTHING)) {
          assert.equal(kind, 'created');
          await etcd.kill();
        }
      },
      (error) => hasCode(error, 'etcd.connection-lost') && error.retryable,
    );
  });

  test(
    'ends when its member loses the leader: it would miss what others see',
    needs('etcd 3.6.16', 'etcdctl 3.6.16'),
    async () => {
      await using cluster = await startEtcdCluster();
      const [alone, ...others] = cluster.members;
      assert.ok(alone !== undefined);
      await using client = connectEtcd({ endpoints: [alone.endpoint] });
      await assert.rejects(
        async () => {
          for await (const { kind } of client.watch(EVERYTHING)) {
            assert.equal(kind, 'created');
            await Promise.all(others.map((member) => member.kill()));
          }
        },
        (error) => hasCode(error, 'etcd.unavailable') && error.message.includes('no leader'),
      );
      // The survivor still tells how it is, and gives a snapshot.
      const { leader } = await client.status(alone.endpoint);
      assert.equal(leader, undefined);
      let size = 0;
      for await (const piece of client.snapshot(alone.endpoint)) size += piece.length;
      assert.ok(size > 0);
      await assert.rejects(client.range('a', { timeoutMs: 500 }), (error) => {
        return (hasCode(error, 'etcd.unavailable') || hasCode(error, 'etcd.deadline')) && error.retryable;
      });
    },
  );
});

async function firstEvents(watch: WatchStream): Promise<WatchResponse> {
  for await (const response of watch) if (response.kind === 'events') return response;
  throw new Error('the watch ended without events');
}

/** Puts so many values of 1 MiB. */
async function fill(etcd: Etcd, count: number): Promise<number> {
  using source = etcd3Source({ endpoints: [etcd.endpoint] });
  const client = await source.current();
  for (let index = 0; index < count; index++)
    await client.put(`/${index}`).value(Buffer.alloc(1 << 20, index));
  return count;
}
