import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import {
  appendSegments,
  CAPTURE,
  CATCH_UP,
  entriesOfSegment,
  listed,
  readEntries,
  segmentDraft,
} from '../../test/harness/segments.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { hasCode } from '../guardian-error.ts';
import {
  FaultInjectingStore,
  type StoreFault,
  type StoreOperation,
} from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { RetryingStore } from '../storage/retrying-store.ts';
import { tailBehind } from './chain-tails.ts';
import { ChainTakenError, type StoredSegment } from './chain.ts';
import { segmentName } from './layout.ts';
import { segmentLog } from './segment-log.ts';

test('of two writers one wins, and the other learns who and goes on behind it', async () => {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.path), testKeys());
  const { repository, backup } = await repositoryWithBackup(settings);
  const log = repository.segments;
  const tail = log.tailOf(backup);
  const drafts = await Promise.all([
    // The one saw more than the other, and began before the base.
    segmentDraft({ from: 15n, to: 30n, writer: CAPTURE }),
    segmentDraft({ from: 21n, to: 40n, writer: CATCH_UP }),
  ]);
  const results = await Promise.allSettled(drafts.map((draft) => log.append(tail, draft)));
  const [winner] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const [error] = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  assert.ok(winner !== undefined && error instanceof ChainTakenError);
  assert.ok(hasCode(error, 'repository.chain-taken') && !error.retryable);
  assert.deepEqual(error.winner && tailBehind(error.winner), winner);
  assert.match(error.message, /written by writer 0000000000001234|written by writer 0000000000005678/);
  assert.deepEqual(await log.tails('prod'), [winner]);
});

test('a reply that was lost is recognised as ours, at once or by the next attempt', async () => {
  for (const [name, lost] of [
    ['the put', ['putIfAbsent']],
    ['the put and the look after it', ['putIfAbsent', 'stat']],
  ] as const) {
    await using folder = await temporaryFolder();
    const local = new LocalStore(folder.path);
    const settings = repositorySettings(local, testKeys());
    const { repository, backup } = await repositoryWithBackup(settings);
    const [first] = await appendSegments(repository.segments, repository.segments.tailOf(backup), [25n]);
    assert.ok(first !== undefined);
    const draft = await segmentDraft({ from: 25n, to: 35n });
    const faulty = new FaultInjectingStore(
      local,
      (operation: StoreOperation, call): StoreFault | undefined => {
        if (call !== 1 || !(lost as readonly string[]).includes(operation)) return undefined;
        return { kind: operation === 'stat' ? 'refused' : 'reply-lost' };
      },
    );
    const log = segmentLog({ ...settings, store: faulty });
    const append = log.append(first, draft);
    if (lost.length > 1) {
      await assert.rejects(append, (error) => hasCode(error, 'store.unreachable') && error.retryable, name);
    }
    // The second attempt is sealed anew, and signed at another time: still ours.
    const tail = await (lost.length > 1 ? log.append(first, draft) : append);
    assert.deepEqual([tail.revision, tail.index], [35n, 2]);
    assert.deepEqual(await repository.segments.tails('prod'), [tail]);
    assert.deepEqual(
      await readEntries(log, (await listed(log.list(backup))) as StoredSegment[]),
      entriesOfSegment(21n, 35n),
    );
  }
});

test("what can't be read under the name, or follows something else, is nobody's", async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const settings = repositorySettings(store, testKeys());
  const { repository, backup } = await repositoryWithBackup(settings);
  const log = repository.segments;
  const tail = log.tailOf(backup);
  const draft = await segmentDraft({ from: 21n, to: 30n });
  const name = segmentName(backup, 21n);
  const stranger = segmentLog({ ...settings, ...testKeys(9) });
  for (const [make, cause] of [
    [() => store.putIfAbsent(name, Buffer.from('junk')), 'repository.damaged'],
    [() => stranger.append(tail, draft), 'signature.untrusted'],
    [() => log.append({ ...tail, predecessor: 'f'.repeat(64) }, draft), 'repository.damaged'],
  ] as const) {
    await make();
    await assert.rejects(log.append(tail, await segmentDraft({ from: 21n, to: 31n })), (error) => {
      assert.ok(error instanceof ChainTakenError && error.winner === undefined);
      assert.ok(hasCode(error.cause, cause), String(error.cause));
      return true;
    });
    await store.delete(name);
  }
});

test('a store that fails leaves the tail where it was; one that keeps fewer bytes is told', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const settings = repositorySettings(store);
  const { repository, backup } = await repositoryWithBackup(settings);
  const tail = repository.segments.tailOf(backup);
  const draft = await segmentDraft({ from: 21n, to: 30n });
  for (const [fault, code] of [
    [{ kind: 'refused' }, 'store.busy'],
    [{ kind: 'full', afterBytes: 10 }, 'store.full'],
    [{ kind: 'cut', afterBytes: 10 }, 'store.unreachable'],
  ] as const) {
    const faulty = new FaultInjectingStore(store, (operation) =>
      operation === 'putIfAbsent' ? fault : undefined,
    );
    await assert.rejects(segmentLog({ ...settings, store: faulty }).append(tail, draft), (error) =>
      hasCode(error, code),
    );
    assert.deepEqual(await repository.segments.tails('prod'), [tail]);
  }
  const short: ObjectStore = Object.assign(Object.create(store) as LocalStore, {
    putIfAbsent: async (...call: Parameters<ObjectStore['putIfAbsent']>) => {
      const object = await store.putIfAbsent(...call);
      return { ...object, size: object.size - 1 };
    },
  });
  await assert.rejects(segmentLog({ ...settings, store: short }).append(tail, draft), (error) =>
    hasCode(error, 'store.corrupt'),
  );
});

test('a segment larger than what one put takes is stored in parts, and contends all the same', async () => {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new RetryingStore(new LocalStore(folder.path)), testKeys());
  const { repository, backup } = await repositoryWithBackup(settings);
  const log = repository.segments;
  const random = testRandom('a large segment');
  const value = random.bytes(3 << 20);
  const large = await segmentDraft({ from: 21n, to: 25n, value });
  const tail = await log.append(log.tailOf(backup), large);
  assert.ok((tail.last?.size ?? 0) > 12 << 20);
  const segments = (await listed(log.list(backup))) as StoredSegment[];
  assert.deepEqual(await readEntries(log, segments), entriesOfSegment(21n, 25n, value));
  // Once more, as after a lost reply; and by someone else.
  assert.deepEqual(await log.append(log.tailOf(backup), large), tail);
  const other = await segmentDraft({ from: 21n, to: 25n, writer: CATCH_UP });
  await assert.rejects(log.append(log.tailOf(backup), other), ChainTakenError);
});
