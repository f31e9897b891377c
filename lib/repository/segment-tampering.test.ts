import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectsOf, readOnlyStore } from '../../test/harness/objects-in-memory.ts';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { sample, testRandom } from '../../test/harness/sampling.ts';
import {
  appendSegments,
  CATCH_UP,
  entriesOfSegment,
  type HexEntry,
  listed,
  readEntries,
  segmentDraft,
} from '../../test/harness/segments.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ChainPlace, ChainTail, ListedSegment } from './chain.ts';
import { segmentName } from './layout.ts';
import { segmentLog } from './segment-log.ts';
import type { RepositorySettings } from './repository.ts';

/** The base is at 21; segments follow it up to these revisions. */
const ENDS = [24n, 27n, 30n];

for (const [name, keys] of [
  ['unsigned and unencrypted', {}],
  ['signed and encrypted', testKeys()],
] as const) {
  test(`every flipped byte and every cut of a segment is detected: ${name}`, async () => {
    const { settings, chain, objects } = await storedChain(keys);
    const entries = entriesOfSegment(21n, 30n);
    assert.deepEqual(await readUntilBroken(settings, chain, objects), { entries, problem: undefined });
    const object = segmentName(chain, 24n);
    const bytes = objects.get(object);
    assert.ok(bytes !== undefined);
    // One SHA-256 covers the document in the head; of its bytes some are enough.
    const headEnd = 11 + bytes.readUInt32LE(7);
    const inHead = new Set(sample([...bytes.keys()].slice(11, headEnd), 150, 'head'));
    const changes: [string, Buffer][] = [];
    for (const at of bytes.keys()) {
      if (at >= 11 && at < headEnd && !inHead.has(at)) continue;
      const flipped = Buffer.from(bytes);
      flipped[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      changes.push([`byte ${at}`, flipped], [`cut at ${at}`, bytes.subarray(0, at)]);
    }
    changes.push(['a byte more', Buffer.concat([bytes, Buffer.from('\n')])]);
    for (const [what, changed] of changes) {
      const { entries: found, problem } = await readUntilBroken(
        settings,
        chain,
        new Map(objects).set(object, changed),
      );
      assert.ok(problem instanceof GuardianError, `${what} is not seen`);
      assert.ok(problem.message.includes(object) && !problem.retryable, `${what}: ${problem.message}`);
      assert.deepEqual(found, entries.slice(0, 4), what);
    }
  });
}

test('a segment that is missing is told once, and what stands behind it follows', async () => {
  const { settings, chain, objects } = await storedChain(testKeys());
  const without = new Map(objects);
  without.delete(segmentName(chain, 24n));
  assert.deepEqual(await outline(settings, chain, without), [
    'sound 21-24',
    'repository.missing 24',
    'sound 27-30',
  ]);
  without.delete(segmentName(chain, 21n));
  assert.deepEqual(await outline(settings, chain, without), ['sound 27-30']);
});

test('a damaged segment breaks the chain where it stands only', async () => {
  const { settings, chain, objects } = await storedChain(testKeys());
  const damaged = new Map(objects).set(segmentName(chain, 24n), Buffer.from('EGSEG1\nno'));
  assert.deepEqual(await outline(settings, chain, damaged), [
    'sound 21-24',
    'repository.damaged 24',
    'sound 27-30',
  ]);
  const first = new Map(objects).set(segmentName(chain, 21n), Buffer.alloc(0));
  assert.deepEqual(await outline(settings, chain, first), [
    'repository.damaged 21',
    'sound 24-27',
    'sound 27-30',
  ]);
});

test('a segment under another name, or of another chain, timeline or cluster is misplaced', async () => {
  const { settings, chain, objects } = await storedChain(testKeys());
  const bytes = objects.get(segmentName(chain, 27n));
  assert.ok(bytes !== undefined);
  const within = new Map(objects).set(segmentName(chain, 30n), bytes);
  assert.deepEqual((await outline(settings, chain, within)).slice(2), [
    'sound 27-30',
    'repository.misplaced 30',
  ]);
  for (const other of [
    { ...chain, id: chain.id.replace(/.$/, 'x').replace('x', chain.id.endsWith('0') ? '1' : '0') },
    { ...chain, timeline: '000002' },
    { ...chain, cluster: 'staging' },
  ]) {
    const entries: [string, Buffer][] = [[segmentName(other, 27n), bytes]];
    const moved = new Map(entries);
    assert.deepEqual(await outline(settings, other, moved), ['repository.misplaced 27']);
  }
});

test("without the key nobody makes a segment, and junk among ours doesn't interrupt the chain", async () => {
  const { settings, chain, objects } = await storedChain(testKeys());
  for (const [keys, code] of [
    [{}, 'signature.missing'],
    [testKeys(9), 'signature.untrusted'],
  ] as const) {
    const forged = await storedChain(keys, chain);
    const bytes = forged.objects.get(segmentName(forged.chain, 24n));
    assert.ok(bytes !== undefined);
    const replaced = new Map(objects).set(segmentName(chain, 24n), bytes);
    const [, second, third] = await outline(settings, chain, replaced);
    assert.deepEqual([second, third], [`${code} 24`, 'sound 27-30']);
    const between = new Map(objects).set(segmentName(chain, 25n), bytes);
    assert.deepEqual(await outline(settings, chain, between), [
      'sound 21-24',
      'sound 24-27',
      `${code} 25`,
      'sound 27-30',
    ]);
    assert.deepEqual(await outline(settings, chain, between, 25n), [
      'sound 24-27',
      `${code} 25`,
      'sound 27-30',
    ]);
    const ahead = new Map(objects).set(segmentName(chain, 5_000_000n), bytes);
    const log = segmentLog({ ...settings, store: readOnlyStore(ahead) });
    assert.deepEqual(
      (await log.tails('prod')).map(({ revision }) => revision),
      [30n],
    );
    const blocked = new Map(objects).set(segmentName(chain, 30n), bytes);
    assert.deepEqual(await segmentLog({ ...settings, store: readOnlyStore(blocked) }).tails('prod'), []);
  }
});

test('a sound segment that is another one than its successor follows is seen', async () => {
  const { settings, chain, objects, tails } = await storedChain(testKeys());
  const [, second] = tails;
  assert.ok(second !== undefined);
  // As with a store that ignores the condition of a put: a second writer's segment replaces the first one's.
  await using folder = await temporaryFolder();
  const log = segmentLog({ ...settings, store: new LocalStore(folder.path) });
  const [first] = tails;
  assert.ok(first !== undefined);
  for (const [to, expected] of [
    [27n, ['sound 21-24', 'sound 24-27', 'repository.damaged 27']],
    [29n, ['sound 21-24', 'sound 24-29', 'repository.damaged 27']],
    [26n, ['sound 21-24', 'sound 24-26', 'repository.missing 26', 'sound 27-30']],
  ] as const) {
    const other = await log.append(first, await segmentDraft({ from: 24n, to, writer: CATCH_UP }));
    const name = segmentName(chain, 24n);
    const written = (await objectsOf(new LocalStore(folder.path))).get(name);
    assert.ok(other.revision === to && written !== undefined);
    assert.deepEqual(await outline(settings, chain, new Map(objects).set(name, written)), expected);
    await new LocalStore(folder.path).delete(name);
  }
});

test('with a key, plain segments are not taken for sealed ones; without it, sealed ones name the key', async () => {
  const { encryption, ...signing } = testKeys();
  assert.ok(encryption !== undefined);
  const plain = await storedChain(signing);
  const sealed = await storedChain({ encryption, ...signing });
  for (const [settings, { chain, objects }, code] of [
    [sealed.settings, plain, 'encryption.plaintext'],
    [plain.settings, sealed, 'encryption.key-missing'],
  ] as const) {
    const { entries, problem } = await readUntilBroken(settings, chain, objects);
    assert.deepEqual(entries, []);
    assert.ok(problem instanceof GuardianError && problem.code === code, String(problem));
  }
});

test('random changes of many bytes at once end in one clear error', async () => {
  const { settings, chain, objects } = await storedChain({});
  const random = testRandom('hostile segments');
  const object = segmentName(chain, 24n);
  const bytes = objects.get(object);
  assert.ok(bytes !== undefined);
  for (let round = 0; round < 400; round++) {
    const changed: Buffer = Buffer.from(bytes);
    const start = random.integer(0, bytes.length);
    const length = random.integer(1, 64);
    changed.set(random.bytes(Math.min(length, bytes.length - start)), start);
    if (changed.equals(bytes)) continue;
    const { problem } = await readUntilBroken(settings, chain, new Map(objects).set(object, changed));
    assert.ok(problem instanceof GuardianError, `${length} bytes at ${start}: ${String(problem)}`);
  }
});

interface StoredChain {
  readonly settings: RepositorySettings;
  readonly chain: ChainPlace;
  readonly tails: readonly ChainTail[];
  readonly objects: Map<string, Buffer>;
}

async function storedChain(keys: Partial<RepositorySettings>, like?: ChainPlace): Promise<StoredChain> {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.path), keys);
  const { repository, backup } = await repositoryWithBackup(settings);
  const { cluster, timeline, id } = like ?? backup;
  const chain = { cluster, timeline, id };
  const tail = { ...repository.segments.tailOf(backup), ...chain };
  const tails = await appendSegments(repository.segments, tail, ENDS);
  return { settings, chain, tails, objects: await objectsOf(settings.store) };
}

/** What a list tells: state and range, or code and the revision in the name. */
async function outline(
  settings: RepositorySettings,
  chain: ChainPlace,
  objects: ReadonlyMap<string, Buffer>,
  after?: bigint,
): Promise<string[]> {
  const log = segmentLog({ ...settings, store: readOnlyStore(objects) });
  return (await listed(log.list(chain, after === undefined ? {} : { after }))).map(describe);
}

function describe(segment: ListedSegment): string {
  if (segment.state === 'sound') return `sound ${segment.head.from}-${segment.head.to}`;
  const { problem, from } = segment;
  assert.ok(problem instanceof GuardianError);
  return `${problem.code} ${from}`;
}

/** The entries of the chain up to the first problem, in its list or within a segment. */
async function readUntilBroken(
  settings: RepositorySettings,
  chain: ChainPlace,
  objects: ReadonlyMap<string, Buffer>,
): Promise<{ entries: HexEntry[]; problem: unknown }> {
  const log = segmentLog({ ...settings, store: readOnlyStore(objects) });
  const entries: HexEntry[] = [];
  try {
    for await (const segment of log.list(chain)) {
      if (segment.state === 'broken') return { entries, problem: segment.problem };
      const { state, ...stored } = segment;
      assert.equal(state, 'sound');
      entries.push(...(await readEntries(log, [stored])));
    }
  } catch (problem) {
    return { entries, problem };
  }
  return { entries, problem: undefined };
}
