import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StoredSegment } from '../../lib/repository/chain.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { collectBytes } from '../harness/byte-stream.ts';
import { liveEntries, pointEntries } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { type LiveCapture, startLiveCapture } from '../harness/live-capture.ts';
import { sample } from '../harness/sampling.ts';
import { sharedBucket } from '../harness/shared-bucket.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

/** What becomes of a segment in the middle of the chain. */
const harms: Readonly<Record<string, (store: ObjectStore, segment: StoredSegment) => Promise<void>>> = {
  'that is deleted': (store, { name }) => store.delete(name),
  'with a byte flipped in its head': (store, { name }) => flip(store, name, 40),
  'with a byte flipped in its body': (store, { name, size }) => flip(store, name, size - 1),
};

describe('a running capture finds a segment', needs('etcd 3.6.16', 'etcdctl 3.6.16', 'versitygw'), () => {
  const { openPrefix } = sharedBucket();
  const stores: Readonly<Record<string, (path: string) => ObjectStore>> = {
    'a folder': (path) => new LocalStore(path),
    'a bucket': () => openPrefix(),
  };
  const cases = Object.entries(stores).flatMap(([where, open]) =>
    Object.entries(harms).map(([what, harm]) => ({ where, open, what, harm })),
  );
  for (const { where, open, what, harm } of sample(cases, 3, 'holes')) {
    test(`${what}, in ${where}, and takes a base behind it at once`, async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd();
      const store = open(folder.join('store'));
      await using capture = await startLiveCapture({
        ...{ endpoints: [etcd.endpoint], store },
        request: { check: { everyMs: 100 } },
      });
      await capture.reached('chain');
      const segments = await writeSegments(etcd, capture, 4);
      await capture.reached('chain-checked', capture.of('chain-checked').length + 2);
      const harmed = segments[1];
      assert.ok(harmed !== undefined);
      await harm(store, harmed);
      await capture.reached('extra-base-taken');
      const [broken] = capture.of('chain-broken');
      assert.equal(broken?.after, harmed.head.from);
      assert.match(broken.error.message, new RegExp(harmed.name));
      assert.match(capture.of('extra-base')[0]?.reason ?? '', /can't be restored: /);

      // Capture went on in its chain; what it stores from now on is in reach of the new base.
      await writeSegments(etcd, capture, 2);
      const last = capture.status().storedRevision ?? 0n;
      await capture.reached('chain-checked', capture.of('chain-checked').length + 2);
      const newest = await pointEntries(capture.repository, { kind: 'latest' });
      assert.equal(newest.revision, last);
      assert.deepEqual(newest.entries, (await liveEntries(etcd)).entries);
      const { breaks, bases, gaps, trouble } = capture.status();
      assert.deepEqual([breaks, bases, gaps, trouble], [1, 2, 0, undefined]);
      assert.equal(new Set(capture.of('stored').map(({ tail }) => tail.id)).size, 1);

      // Points before the hole are there as before; those in it are refused with the reason.
      await pointEntries(capture.repository, { kind: 'revision', revision: harmed.head.from });
      await assert.rejects(
        pointEntries(capture.repository, { kind: 'revision', revision: harmed.head.to }),
        (error) => error instanceof Error && error.message.includes(harmed.name),
      );
    });
  }
});

/** Each of a few changes. */
async function writeSegments(etcd: Etcd, capture: LiveCapture, count: number): Promise<StoredSegment[]> {
  const before = capture.of('stored').length;
  for (let segment = 0; segment < count; segment++) {
    await putOne(etcd, '/a', `${segment}`);
    await capture.stored(await putOne(etcd, `/b/${segment}`, 'x'));
  }
  return capture
    .of('stored')
    .slice(before)
    .map(({ segment }) => segment);
}

async function flip(store: ObjectStore, name: string, at: number): Promise<void> {
  const bytes = await collectBytes(store.get(name));
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await store.delete(name);
  await store.putIfAbsent(name, bytes);
}
