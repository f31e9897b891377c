import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedTimelines } from '../../test/harness/captured-timelines.ts';
import {
  HOUR_MS,
  repositorySettings,
  repositoryWithBackup,
  testKeys,
} from '../../test/harness/repository.ts';
import { sharedBucket } from '../../test/harness/shared-bucket.ts';
import { appendSegments } from '../../test/harness/segments.ts';
import { FaultInjectingStore } from '../storage/fault-injecting-store.ts';
import type { PointQuery } from './choose-point.ts';
import { openRepository } from './open-repository.ts';

const { openPrefix } = sharedBucket();

test('a bucket tells the same points as a folder, and thins them', async () => {
  await using made = await capturedTimelines(openPrefix());
  const { repository, clock } = made;
  const ranges = async (): Promise<string[]> =>
    (await repository.points.list('prod')).flatMap(({ spans }) =>
      spans.map((span) =>
        span.kind === 'range'
          ? `${span.from.revision}-${span.to.revision}`
          : `${span.cause} ${span.first}-${span.last}`,
      ),
    );
  assert.deepEqual(await ranges(), ['101-121', '91-101', 'gap 62-90', '21-61']);
  const found = await repository.points.find(
    'prod',
    { kind: 'revision', revision: 55n },
    { timeline: '000001' },
  );
  assert.deepEqual([found.base.id, found.segments.length], [made.bases[1]?.id, 2]);

  await repository.applyRetention('prod', { keepLast: 2 }, { by: 'alice' });
  assert.deepEqual(await ranges(), ['101-121', '91-91']);
  clock.advance(25 * HOUR_MS);
  const { deleted } = await repository.sweep();
  assert.equal(deleted.filter(({ name }) => name.endsWith('.segment')).length, 5);
  assert.deepEqual(await ranges(), ['101-121', '91-91']);
});

test('of an undo and a sweep at once exactly one happens', async () => {
  await using made = await capturedTimelines(openPrefix());
  const { repository, clock, bases } = made;
  const [chain] = bases;
  assert.ok(chain);
  await repository.applyRetention('prod', { keepLast: 1 }, { by: 'alice' });
  clock.advance(25 * HOUR_MS);
  const [undone, swept] = await Promise.all([
    repository.points.undoTrim(chain, undefined, { by: 'alice' }),
    repository.sweep(),
  ]);
  const gone = swept.deleted.filter(({ name }) => name.includes(`${chain.id}/segments/`)).length;
  assert.equal(gone, undone.trimmed.length === 0 ? 0 : 4);
});

test('finding a point reads the heads between base and point, and hardly more', async () => {
  let heads = 0;
  const store = new FaultInjectingStore(openPrefix(), (operation, _call, name) => {
    if (operation === 'get' && name.endsWith('.segment')) heads++;
    return undefined;
  });
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, testKeys()));
  const tail = repository.segments.tailOf(backup);
  const ends = Array.from({ length: 300 }, (_, index) => tail.revision + BigInt(index + 1));
  await appendSegments(repository.segments, tail, ends);
  const read = async (query: PointQuery): Promise<number> => {
    heads = 0;
    await repository.points.find('prod', query);
    return heads;
  };
  const early = await read({ kind: 'revision', revision: tail.revision + 3n });
  assert.ok(early < 20, `${early} heads`);
  const { seenAt } = await repository.points.find('prod', { kind: 'revision', revision: tail.revision + 3n });
  const byTime = await read({ kind: 'time', time: seenAt });
  assert.ok(byTime < 30, `${byTime} heads`);
  assert.ok((await read({ kind: 'latest' })) <= 302);

  // With other keys it isn't nothing that is there, but nothing that they vouch for.
  const stranger = await openRepository(repositorySettings(store, testKeys(9)));
  await assert.rejects(stranger.points.find('prod', { kind: 'latest' }), {
    code: 'signature.untrusted',
  });
});
