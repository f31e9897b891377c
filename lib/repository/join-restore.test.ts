import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import {
  backUp,
  HOUR_MS,
  repositorySettings,
  repositoryWithBackup,
  TestClock,
  testKeys,
} from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { identifyCluster } from '../etcd/datadir/member-identity.ts';
import { GuardianError } from '../guardian-error.ts';
import { FaultInjectingStore, type FaultPlan } from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import { restoreClaimName, restoreName, restoresFolder } from './layout.ts';
import { openRepository } from './open-repository.ts';
import type { Repository, SoundBackup } from './repository.ts';
import type { JoinedRestore, JoinRequest } from './restore-record.ts';

const MARGIN = 1000n;
const NAMES = ['m1', 'm2', 'm3'];
const MEMBERS = NAMES.map((name) => ({ name, peerUrls: [`http://${name}:2380`] }));

test('three nodes, one after the other, come to one restore; a second time they come to another', async () => {
  await using world = await restorableWorld();
  const first = await eachNode(world);
  const second = await eachNode(world);
  for (const [number, joins] of [first, second].entries()) {
    assert.deepEqual(new Set(joins.map(({ record }) => record.number)), new Set([number + 1]));
    assert.equal(new Set(joins.map(({ record }) => record.token)).size, 1);
    assert.deepEqual(
      joins.map(({ begun }) => begun),
      [true, false, false],
    );
  }
  const [before, after] = [recordOf(first), recordOf(second)];
  assert.notEqual(after.token, before.token);
  assert.notEqual(after.etcdClusterId, before.etcdClusterId);
  assert.equal(before.bumpTo, world.revision + MARGIN);
  assert.equal(after.bumpTo, world.revision + 2n * MARGIN);
  assert.equal(await world.repository.highWater('prod'), after.bumpTo);
  const apart = second.find(({ begun }) => begun)?.apartFrom;
  assert.equal(apart?.record.number, 1);
  assert.match(apart.why, /m1 was made for it/);
});

test('of many nodes at once, each gets its member in one restore', async () => {
  await using world = await restorableWorld();
  const members = Array.from({ length: 9 }, (_, index) => ({
    name: `m${index}`,
    peerUrls: [`http://m${index}:1`],
  }));
  const joins = await Promise.all(members.map(({ name }) => world.join({ members, own: [name] })));
  assert.deepEqual(new Set(joins.map(({ record }) => record.token)).size, 1);
  assert.equal(joins.filter(({ begun }) => begun).length, 1);
});

test('of many runs at once for one member, each gets a restore of its own', async () => {
  await using world = await restorableWorld();
  const joins = await Promise.all(NAMES.map(() => world.join({ own: ['m1'] })));
  assert.deepEqual(joins.map(({ record }) => record.number).sort(), [1, 2, 3]);
  assert.equal(new Set(joins.map(({ record }) => record.token)).size, 3);
  assert.equal(new Set(joins.map(({ record }) => record.bumpTo)).size, 3);
});

test('of two runs at once that make all members, none gets some of the other’s', async () => {
  await using world = await restorableWorld();
  const joins = await Promise.all([NAMES, NAMES.toReversed()].map((own) => world.join({ own })));
  assert.deepEqual(joins.map(({ record }) => record.number).sort(), [1, 2]);
});

test('a run that failed gives its member back, and the next one joins the same restore', async () => {
  await using world = await restorableWorld();
  const [first] = [await world.join({ own: ['m1'] }), await world.join({ own: ['m2'] })];
  await first.release();
  const again = await world.join({ own: ['m1'] });
  assert.deepEqual([again.record.number, again.begun, again.record.claimed], [1, false, ['m2']]);
  // Where it couldn't be given back, it can be asked for.
  const killed = await world.join({ own: ['m1'], number: 1 });
  assert.equal(killed.record.token, first.record.token);
  await killed.release();
  assert.equal((await world.join({ own: ['m1'] })).record.number, 2, 'the claim of another run stays');
});

test('after a day nobody joins any more', async () => {
  await using world = await restorableWorld();
  await world.join({ own: ['m1'] });
  world.clock.advance(23 * HOUR_MS);
  assert.equal((await world.join({ own: ['m2'] })).record.number, 1);
  world.clock.advance(HOUR_MS);
  assert.equal((await world.join({ own: ['m3'] })).record.number, 2);
});

test('token and revision that were asked for are recorded, and the revision is checked against restores too', async () => {
  await using world = await restorableWorld();
  const bumpTo = 10n ** 15n;
  const asked = { token: 'mine', bump: bumpTo, firstRevision: above(bumpTo) } as const;
  const { record } = await world.join({ own: ['m1'], ...asked });
  assert.deepEqual([record.token, record.bumpTo], ['mine', bumpTo]);
  assert.equal((await world.join({ own: ['m2'], ...asked })).record.number, 1);
  await assert.rejects(world.join({ own: ['m1'], ...asked }), {
    message: `${bumpTo} is not above ${bumpTo}`,
  });
  const none = await world.join({ own: ['m1'], bump: 'none', firstRevision: () => undefined });
  assert.equal(none.record.bumpTo, undefined);
});

test('a member’s name may be anything', async () => {
  await using world = await restorableWorld();
  const names = ['../../etcdguardian.json', 'ü\u0000/', 'M1', 'm1', 'x'.repeat(5000)];
  const members = names.map((name, index) => ({ name, peerUrls: [`http://h${index}:1`] }));
  for (const name of names) {
    assert.equal((await world.join({ members, own: [name] })).record.number, 1, name);
  }
  assert.deepEqual((await world.join({ members, own: ['m1'] })).record.number, 2);
});

test('records that were damaged, moved, or not signed by us are told and do not count', async () => {
  await using world = await restorableWorld();
  const { store } = world;
  const { record } = await world.join({ own: ['m1'] });
  const bytes = await collectBytes(store.get(restoreName('prod', 1)));
  await store.putIfAbsent(restoreName('prod', 2), bytes);
  await store.putIfAbsent(restoreName('prod', 3), bytes.subarray(1));
  const stranger = await openRepository(repositorySettings(store, testKeys(9)));
  const theirs = await stranger.joinRestore({
    ...world.request,
    own: ['m2'],
    firstRevision: () => 10n ** 18n,
  });
  assert.equal(theirs.record.number, 4);

  const joined = await world.join({ own: ['m2'] });
  assert.equal(joined.record.token, record.token);
  assert.deepEqual(
    joined.warnings.map(({ code }) => code),
    ['repository.misplaced', 'repository.damaged', 'signature.untrusted'],
  );
  assert.equal(await world.repository.highWater('prod'), record.bumpTo);
  assert.equal((await world.join({ own: ['m1'] })).record.number, 5, 'their numbers are passed over');
});

test('a sweep knows records and claims, and leaves them forever', async () => {
  await using world = await restorableWorld();
  await world.join({ own: NAMES });
  world.clock.advance(10_000 * HOUR_MS);
  const { unknown } = await world.repository.sweep();
  assert.deepEqual(unknown, []);
  const left: string[] = [];
  for await (const { name } of world.store.list(restoresFolder('prod'))) left.push(name);
  assert.deepEqual(
    left.sort(),
    [restoreName('prod', 1), ...NAMES.map((name) => restoreClaimName('prod', 1, name))].sort(),
  );
});

test('where the store only reads, a restore that others began is joined, and none begins', async () => {
  await using world = await restorableWorld();
  const denied = new GuardianError('store.denied', 'these credentials only read');
  const reader = await world.through((operation) =>
    operation === 'putIfAbsent' ? { kind: 'refused', error: denied } : undefined,
  );
  await assert.rejects(reader.joinRestore({ ...world.request, own: ['m2'] }), denied);
  const { record } = await world.join({ own: ['m1'] });
  const joined = await reader.joinRestore({ ...world.request, own: ['m2'] });
  assert.deepEqual([joined.record.token, joined.claimed], [record.token, false]);
});

test('a reply that is lost is not taken for another run’s record', async () => {
  await using world = await restorableWorld();
  for (const lost of [restoreName('prod', 1), restoreClaimName('prod', 1, 'm1')]) {
    const failing = await world.through((operation, _call, name) =>
      operation === 'putIfAbsent' && name === lost ? { kind: 'reply-lost' } : undefined,
    );
    await assert.rejects(failing.joinRestore({ ...world.request, own: ['m1'] }), {
      code: 'store.unreachable',
    });
  }
  // Both arrived, though the run was told otherwise: what it may have left is not used twice.
  const { record, apartFrom } = await world.join({ own: ['m1'] });
  assert.deepEqual([record.number, apartFrom?.record.number], [2, 1]);
});

test('a backup of a cluster that a recorded restore made begins a timeline as restored', async () => {
  await using world = await restorableWorld();
  const { record } = await world.join({ own: NAMES });
  const { clusterId } = identifyCluster({ token: record.token, members: MEMBERS });
  assert.equal(record.etcdClusterId, clusterId);
  const reasons: (string | undefined)[] = [];
  for (const etcdClusterId of [clusterId, 42n]) {
    const begun = { cluster: 'prod', etcdClusterId, clusterRevision: 10n ** 10n };
    reasons.push((await world.repository.beginBackup(begun)).timelineReason);
  }
  assert.deepEqual(reasons, ['restored', 'cluster-id-changed']);
});

interface World extends AsyncDisposable {
  readonly store: LocalStore;
  readonly clock: TestClock;
  readonly repository: Repository;
  readonly backup: SoundBackup;
  readonly revision: bigint;
  readonly request: JoinRequest;
  readonly join: (over: Partial<JoinRequest>) => Promise<JoinedRestore>;
  /** The same repository, through a store on which things go wrong. */
  readonly through: (plan: FaultPlan) => Promise<Repository>;
}

/** A repository with a backup that can be restored to three members. */
async function restorableWorld(): Promise<World> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const clock = new TestClock();
  const settings = repositorySettings(store, { ...testKeys(), clock: clock.read });
  const { repository, snapshot } = await repositoryWithBackup(settings);
  const backup = await backUp(repository, snapshot);
  const request: JoinRequest = {
    ...{ cluster: 'prod', backup, members: MEMBERS, own: [], bump: 'auto', by: 'root@test' },
    firstRevision: (highWater) => highWater + MARGIN,
  };
  return {
    ...{ store, clock, repository, backup, request, revision: backup.manifest.snapshot.currentRevision },
    join: (over) => repository.joinRestore({ ...request, ...over }),
    through: (plan) => openRepository({ ...settings, store: new FaultInjectingStore(store, plan) }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function eachNode({ join }: World): Promise<JoinedRestore[]> {
  const joins: JoinedRestore[] = [];
  for (const name of NAMES) joins.push(await join({ own: [name] }));
  return joins;
}

function recordOf([first]: readonly JoinedRestore[]): JoinedRestore['record'] {
  assert.ok(first);
  return first.record;
}

function above(bumpTo: bigint): (highWater: bigint) => bigint {
  return (highWater) => {
    if (bumpTo <= highWater) throw new Error(`${bumpTo} is not above ${highWater}`);
    return bumpTo;
  };
}
