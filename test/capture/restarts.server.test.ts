import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultInjectingStore } from '../../lib/storage/fault-injecting-store.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { keepWriting } from '../harness/keep-writing.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const ETCD = needs('etcd 3.6.16', 'etcdctl 3.6.16');

test('a capture that is stopped and started goes on where it was, without a base', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new LocalStore(folder.join('store'));
  await putOne(etcd, '/a', '1');
  let last = 0n;
  for (let round = 0; round < 3; round++) {
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
    await putOne(etcd, '/a', `${round} while it runs`);
    await capture.reached('chain');
    last = await putOne(etcd, '/b', `${round} just before it stops`);
    await eventually('it is seen', () => (capture.status().seenRevision ?? 0n) >= last);
    await capture.stop();
    assert.equal(capture.status().storedRevision, last, 'a polite end stores what was seen');
    assert.equal(capture.status().state, 'stopped');
    assert.equal(capture.of('base').length, round === 0 ? 1 : 0);
    assert.equal(capture.status().gaps, 0);
    last = await putOne(etcd, '/c', `${round} while none runs`);
  }
  await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
  await capture.stored(last);
  assert.equal((await assertCaptured(capture.repository, etcd)).revision, last);
});

test(
  'history that was compacted while none ran is a gap with its reason, and a base behind it',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const store = new LocalStore(folder.join('store'));
    const earlier = await startLiveCapture({ endpoints: [etcd.endpoint], store });
    await earlier.reached('chain');
    const end = await putOne(etcd, '/a', '1');
    await earlier.stored(end);
    await earlier[Symbol.asyncDispose]();
    await putOne(etcd, '/a', '2');
    const at = await putOne(etcd, '/a', '3');
    await callGateway(etcd, 'kv/compaction', { revision: String(at), physical: true });
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
    await capture.reached('base');
    const last = await putOne(etcd, '/a', '4');
    await capture.stored(last);
    assert.equal(capture.status().gaps, 1);
    const { segments } = await assertCaptured(capture.repository, etcd);
    assert.equal(segments[0]?.head.gap?.after, end);
    assert.match(segments[0].head.gap.reason, /compacted its history up to revision/);
  },
);

test('of two captures of one cluster exactly one goes on, and the other names it', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new LocalStore(folder.join('store'));
  await using writers = await keepWriting([etcd.endpoint], { writers: 4, restMs: 5 });
  await using first = await startLiveCapture({ endpoints: [etcd.endpoint], store });
  await first.reached('stored', 2);
  await using second = await startLiveCapture({ endpoints: [etcd.endpoint], store });
  const lost = await Promise.race([
    first.ended.then(() => undefined, nameOf('first')),
    second.ended.then(() => undefined, nameOf('second')),
  ]);
  const [loser, winner] = lost?.which === 'first' ? [first, second] : [second, first];
  assert.deepEqual([lost?.code, loser.status().state], ['capture.superseded', 'stopped']);
  const before = winner.of('stored').length;
  await winner.reached('stored', before + 3);
  await writers.stop();
  const { revision } = await etcd.status();
  await winner.stored(revision);
  assert.equal((await assertCaptured(winner.repository, etcd)).revision, revision);
});

function nameOf(which: string): (error: unknown) => { which: string; code: unknown } {
  return (error) => ({ which, code: error instanceof Error && 'code' in error ? error.code : error });
}

test('a store that ignores put-if-absent is refused before anything is written', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const careless = new FaultInjectingStore(new LocalStore(folder.join('store')), (operation) =>
    operation === 'putIfAbsent' ? { kind: 'overwrites' } : undefined,
  );
  await assert.rejects(startLiveCapture({ endpoints: [etcd.endpoint], store: careless }), {
    code: 'capture.store-unfit',
  });
  const names = [];
  for await (const { name } of careless.list('')) names.push(name);
  assert.deepEqual(names, []);
});
