import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR_MS, repositorySettings, TestClock, testKeys } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { newBackupId } from './backup-id.ts';
import { trimName } from './layout.ts';
import type { RepositorySettings } from './repository.ts';
import type { TrimState } from './trim-state.ts';
import { markTrim, type NameRange, trimsOf } from './trims.ts';
import { cutOut, isTrimmed } from './trimmed-segments.ts';

const chain = { cluster: 'prod', timeline: '000001', id: newBackupId(new Date(), () => Buffer.alloc(4)) };
const alice = { by: 'alice', reason: 'too old' };

test('trims add up, can be undone one by one, and are final once swept', async () => {
  await using place = await emptyStore();
  const { clock, settings } = place;
  assert.deepEqual(await trimsOf(settings, chain, undefined), NOTHING);
  await trim(settings, [range(10, 30)]);
  clock.advance(HOUR_MS);
  const second = await trim(settings, [range(20, 40), range(60, 80)]);
  assert.deepEqual(rangesOf(second), ['10-30 by 1', '30-40 by 2', '60-80 by 2']);
  assert.deepEqual(await trimsOf(settings, chain, undefined), {
    ...second,
    superseded: [await first(settings)],
  });

  const undone = await markTrim(settings, chain, { action: 'undo', trim: 2 }, alice, undefined);
  assert.deepEqual(rangesOf(undone), ['10-30 by 1']);
  await trim(settings, [range(30, 40)]);

  // Not before the grace of each is over.
  assert.equal((await sweep(settings)).last, 4);
  clock.advance(23 * HOUR_MS + HOUR_MS / 60);
  assert.deepEqual(rangesOf(await sweep(settings)), ['10-30 by 1 swept', '30-40 by 4']);
  clock.advance(24 * HOUR_MS);
  assert.deepEqual(rangesOf(await sweep(settings)), ['10-40 by 4 swept']);
  const nothing = await markTrim(settings, chain, { action: 'undo', trim: undefined }, alice, undefined);
  assert.deepEqual(rangesOf(nothing), ['10-40 by 4 swept']);
});

test('what is trimmed already, or nothing, writes nothing', async () => {
  await using place = await emptyStore();
  const { settings } = place;
  await trim(settings, [range(10, 30)]);
  for (const again of [[range(10, 30)], [range(15, 20)], [], [range(50, 50)]]) {
    assert.equal((await trim(settings, again)).last, 1);
  }
});

test('a document that nobody trusted signed, or that was moved here, changes nothing and blocks nothing', async () => {
  await using place = await emptyStore();
  const { settings } = place;
  const stranger = { ...settings, ...testKeys(9) };
  await markTrim(stranger, chain, { action: 'trim', ranges: [range(0, 1000)] }, alice, undefined);
  const state = await trimsOf(settings, chain, undefined);
  assert.deepEqual(state.trimmed, []);
  assert.deepEqual(codesOf(state), ['signature.untrusted']);
  assert.equal((await trim(settings, [range(10, 20)])).last, 2);

  const other = { ...chain, timeline: '000002' };
  await markTrim(settings, other, { action: 'trim', ranges: [range(0, 1000)] }, alice, undefined);
  const chunks = settings.store.get(trimName(other, 1));
  await settings.store.put(trimName(chain, 3), chunks);
  const moved = await trimsOf(settings, chain, undefined);
  assert.deepEqual([rangesOf(moved), codesOf(moved)], [['10-20 by 2'], ['repository.misplaced']]);
});

test('steps that are taken at once all count, and each number is given once', async () => {
  await using place = await emptyStore();
  const { settings } = place;
  const starts = Array.from({ length: 8 }, (_, index) => index * 10);
  await Promise.all(starts.map((start) => trim(settings, [range(start, start + 10)])));
  const { trimmed, last } = await trimsOf(settings, chain, undefined);
  assert.equal(last, 8);
  assert.deepEqual(
    trimmed.map(({ from }) => Number(from)),
    starts,
  );
});

test('of an undo and a sweep at once exactly one happens', async () => {
  for (let round = 0; round < 10; round++) {
    await using place = await emptyStore();
    const { clock, settings } = place;
    await trim(settings, [range(10, 30)]);
    clock.advance(25 * HOUR_MS);
    const undo = markTrim(settings, chain, { action: 'undo', trim: undefined }, alice, undefined);
    await Promise.all([undo, sweep(settings)]);
    const { trimmed } = await trimsOf(settings, chain, undefined);
    assert.ok(trimmed.length === 0 || trimmed.every(({ swept }) => swept));
  }
});

test('a writer whose clock is wrong doesn’t shorten the grace', async () => {
  await using place = await emptyStore();
  const { settings } = place;
  const longAgo = { ...settings, clock: () => new Date('2020-01-01T00:00:00Z') };
  const before = Date.now();
  await trim(longAgo, [range(10, 20)]);
  await trim(longAgo, [range(20, 30)]);
  for (const { deleteAfter } of (await trimsOf(settings, chain, undefined)).trimmed) {
    assert.ok(deleteAfter.getTime() >= before + 24 * HOUR_MS - 1000, deleteAfter.toISOString());
  }
});

test('a range is cut where others are', () => {
  const cases: [NameRange, NameRange[], string[]][] = [
    [range(10, 20), [], ['10-20']],
    [range(10, 20), [range(0, 10), range(20, 30)], ['10-20']],
    [range(10, 20), [range(0, 30)], []],
    [range(10, 20), [range(12, 14), range(16, 30)], ['10-12', '14-16']],
    [range(10, 10), [], []],
  ];
  for (const [whole, taken, left] of cases) {
    assert.deepEqual(
      cutOut(whole, taken).map(({ from, to }) => `${from}-${to}`),
      left,
    );
  }
  assert.deepEqual(
    [9n, 10n, 19n, 20n].map((name) => isTrimmed([range(10, 20)], name)),
    [false, true, true, false],
  );
});

const NOTHING: TrimState = { trimmed: [], last: 0, problems: [], superseded: [] };

function range(from: number, to: number): NameRange {
  return { from: BigInt(from), to: BigInt(to) };
}

function trim(settings: RepositorySettings, ranges: readonly NameRange[]): Promise<TrimState> {
  return markTrim(settings, chain, { action: 'trim', ranges }, alice, undefined);
}

function sweep(settings: RepositorySettings): Promise<TrimState> {
  return markTrim(settings, chain, { action: 'sweep' }, { by: 'sweep' }, undefined);
}

function rangesOf({ trimmed }: TrimState): string[] {
  return trimmed.map(({ from, to, trim: by, swept }) => `${from}-${to} by ${by}${swept ? ' swept' : ''}`);
}

function codesOf({ problems }: TrimState): string[] {
  return problems.map(({ code }) => code);
}

async function first({ store }: RepositorySettings): Promise<Awaited<ReturnType<typeof store.stat>>> {
  return store.stat(trimName(chain, 1));
}

async function emptyStore(): Promise<AsyncDisposable & { settings: RepositorySettings; clock: TestClock }> {
  const folder = await temporaryFolder();
  const clock = new TestClock();
  const settings = repositorySettings(new LocalStore(folder.path), { ...testKeys(), clock: clock.read });
  return { settings, clock, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
