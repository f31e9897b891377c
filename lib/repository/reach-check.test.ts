import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { appendSegments } from '../../test/harness/segments.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { FaultInjectingStore } from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ChainTail } from './chain.ts';
import { segmentName } from './layout.ts';
import type { ReachCheck } from './points.ts';
import type { Repository, SoundBackup } from './repository.ts';
import { markTrim } from './trims.ts';

test('what stands is found so, and is not read again while the store shows the same', async () => {
  await using made = await captured();
  const { check, backup, reads } = made;
  const first = await check.look(backup, 61n);
  assert.deepEqual([first.problem, first.reached, first.segments], [undefined, 61n, 4]);
  const before = reads.segments;
  assert.ok(before > 0);
  assert.equal((await check.look(backup, 61n)).problem, undefined);
  assert.equal(reads.segments, before);
  await made.extend(71n);
  assert.equal((await check.look(backup, 71n)).reached, 71n);
  assert.equal(reads.segments, before + 1);
});

test('a segment that is missing, wherever, puts what lies behind it out of reach', async () => {
  for (const [at, reached] of [
    [21n, 21n],
    [31n, 31n],
    [51n, 51n],
  ] as const) {
    await using made = await captured();
    await made.check.look(made.backup, 61n);
    await made.store.delete(segmentName(made.backup, at));
    const { problem, ...found } = await made.check.look(made.backup, 61n);
    assert.deepEqual([problem?.code, found.reached], ['repository.missing', reached]);
    assert.match(problem?.message ?? '', new RegExp(`${segmentName(made.backup, at)} is gone`));
  }
});

test('a byte that is flipped in a head is found at once, one in a body in its turn, and both stay found', async () => {
  for (const [part, offset] of [
    ['head', 40],
    ['body', -1],
  ] as const) {
    await using made = await captured();
    const { check, backup } = made;
    await check.look(backup, 61n, { bodyBytes: 1 });
    await made.flip(segmentName(backup, 41n), offset);
    const problems = [];
    for (let look = 0; look < 6; look++)
      problems.push((await check.look(backup, 61n, { bodyBytes: 1 })).problem);
    const found = problems.findIndex((problem) => problem !== undefined);
    assert.ok(part === 'head' ? found === 0 : found >= 0 && found < 4, `${part} ${found}`);
    for (const problem of problems.slice(found)) assert.equal(problem?.code, 'repository.damaged');
    assert.equal((await check.look(backup, 41n)).problem, undefined, 'points before it are in reach');
  }
});

test('a base that is gone or cut, or what is trimmed behind it, is told; a base behind a hole mends it', async () => {
  await using made = await captured();
  const { check, backup, store, repository } = made;
  await markTrim(made.settings, backup, { action: 'trim', ranges: [{ from: 31n, to: 41n }] }, BY, undefined);
  assert.deepEqual((await check.look(backup, 61n)).reached, 31n);
  await repository.points.undoTrim(backup, undefined, BY);
  assert.equal((await check.look(backup, 61n)).problem, undefined);
  const bytes = await collectBytes(store.get(backup.manifest.base.name));
  await store.delete(backup.manifest.base.name);
  assert.equal((await check.look(backup, 61n)).problem?.code, 'repository.base-missing');
  await store.putIfAbsent(backup.manifest.base.name, bytes.subarray(1));
  assert.equal((await check.look(backup, 61n)).problem?.code, 'repository.damaged');
  await store.delete(backup.manifest.base.name);
  await store.putIfAbsent(backup.manifest.base.name, bytes);
  assert.equal((await check.look(backup, 61n)).problem, undefined);
  await repository.removeBackup(backup, BY);
  assert.equal((await check.look(backup, 61n)).problem?.code, 'repository.no-base');
});

const BY = { by: 'test' };

interface Captured extends AsyncDisposable {
  readonly settings: ReturnType<typeof repositorySettings>;
  readonly store: LocalStore;
  readonly repository: Repository;
  readonly backup: SoundBackup;
  readonly check: ReachCheck;
  /** Of segments, through the check's store. */
  readonly reads: { segments: number };
  extend(to: bigint): Promise<void>;
  /** At an offset, counted from the end where it is below 0. */
  flip(name: string, offset: number): Promise<void>;
}

/** A base at revision 21, and four segments up to 61. */
async function captured(): Promise<Captured> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const reads = { segments: 0 };
  const counting = new FaultInjectingStore(store, (operation, _call, name) => {
    if (operation === 'get' && name.endsWith('.segment')) reads.segments++;
    return undefined;
  });
  const settings = repositorySettings(counting, testKeys());
  const { repository, backup } = await repositoryWithBackup(settings);
  let tail: ChainTail | undefined = repository.segments.tailOf(backup);
  const extend = async (...ends: bigint[]): Promise<void> => {
    if (tail !== undefined) tail = (await appendSegments(repository.segments, tail, ends)).at(-1);
  };
  await extend(31n, 41n, 51n, 61n);
  return {
    ...{ settings, store, repository, backup, reads, extend, check: repository.points.reachCheck() },
    async flip(name, offset) {
      const bytes = await collectBytes(store.get(name));
      const at = offset < 0 ? bytes.length + offset : offset;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await store.delete(name);
      await store.putIfAbsent(name, bytes);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
