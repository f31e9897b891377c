import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { BUMP_MARGIN, planRestore, type RestorePoint, type RestoreRequest } from './restore-plan.ts';

const POINT: RestorePoint = {
  identity: '20261122T053000Z-9f3ac1d0',
  currentRevision: 5000n,
  highWater: 7000n,
};
const THREE = 'm1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380';

function request(some: Partial<RestoreRequest> = {}): RestoreRequest {
  return { dataDir: '/var/lib/etcd', allMembers: false, bump: 'auto', ...some };
}

test('a single member needs nothing but a data dir', () => {
  const plan = planRestore(request(), POINT);
  assert.deepEqual(plan.members, [{ name: 'default', peerUrls: ['http://localhost:2380'] }]);
  assert.deepEqual(
    plan.dirs.map((dir) => dir.dataDir),
    ['/var/lib/etcd'],
  );
  assert.equal(plan.bumpTo, 7000n + BUMP_MARGIN);
});

test('runs on three nodes come to one token and one bump', () => {
  const plans = ['m1', 'm2', 'm3'].map((name) =>
    planRestore(request({ initialCluster: THREE, name }), POINT),
  );
  assert.equal(new Set(plans.map((plan) => plan.token)).size, 1);
  assert.equal(new Set(plans.map((plan) => plan.bumpTo)).size, 1);
  assert.deepEqual(
    plans.map((plan) => plan.dirs.map((dir) => dir.member.name)),
    [['m1'], ['m2'], ['m3']],
  );
});

test('the order of members and of their peer URLs is no part of a plan', () => {
  const one = planRestore(
    request({ initialCluster: 'a=http://a:1,b=http://b:1,a=http://a:2', name: 'a' }),
    POINT,
  );
  const other = planRestore(
    request({ initialCluster: 'b=http://b:1,a=http://a:2,a=http://a:1', name: 'b' }),
    POINT,
  );
  assert.equal(one.token, other.token);
});

test('what was settled for all members is taken as it is', () => {
  for (const bumpTo of [undefined, 10n]) {
    const { token, bumpTo: planned } = planRestore(request({ bump: 1n }), POINT, {
      token: 'settled',
      bumpTo,
    });
    assert.deepEqual([token, planned], ['settled', bumpTo]);
  }
});

test('a later restore, with a higher high-water mark, has another token', () => {
  const first = planRestore(request({ initialCluster: THREE, name: 'm1' }), POINT);
  const later = { ...POINT, highWater: 1_000_008_000n };
  assert.notEqual(planRestore(request({ initialCluster: THREE, name: 'm1' }), later).token, first.token);
});

test('all members at once get a folder each', () => {
  const plan = planRestore(request({ initialCluster: THREE, allMembers: true, walDir: '/wal' }), POINT);
  assert.deepEqual(
    plan.dirs.map((dir) => [dir.dataDir, dir.walDir]),
    [
      ['/var/lib/etcd/m1', '/wal/m1'],
      ['/var/lib/etcd/m2', '/wal/m2'],
      ['/var/lib/etcd/m3', '/wal/m3'],
    ],
  );
});

test('the only member of an initial cluster needs no name', () => {
  const plan = planRestore(request({ initialCluster: 'cp1=https://10.0.0.1:2380' }), POINT);
  assert.equal(plan.dirs[0]?.member.name, 'cp1');
});

const REFUSED: readonly (readonly [string, Partial<RestoreRequest>, string])[] = [
  ['a name that is not in the initial cluster', { initialCluster: THREE, name: 'm4' }, 'restore.name'],
  ['no name where there are three members', { initialCluster: THREE }, 'restore.name'],
  ['a member without a URL', { initialCluster: 'm1' }, 'restore.initial-cluster'],
  ['a URL with a path', { initialCluster: 'm1=http://10.0.0.1:2380/x' }, 'restore.initial-cluster'],
  ['a URL without a port', { initialCluster: 'm1=http://10.0.0.1' }, 'restore.initial-cluster'],
  ['a URL of two members', { initialCluster: 'm1=http://a:1,m2=http://a:1' }, 'restore.initial-cluster'],
  ['another scheme', { initialCluster: 'm1=ftp://a:1' }, 'restore.initial-cluster'],
  [
    'peer URLs that contradict the initial cluster',
    { initialCluster: THREE, name: 'm1', initialAdvertisePeerUrls: 'http://10.0.0.9:2380' },
    'restore.peer-urls',
  ],
  ['a log dir that is the data dir', { walDir: '/var/lib/etcd' }, 'restore.wal-dir'],
  ['a log dir that holds the data dir', { walDir: '/var/lib' }, 'restore.wal-dir'],
  ['a bump below what was served', { bump: 6999n }, 'restore.bump'],
  ['a bump that leaves no revisions above it', { bump: 2n ** 62n }, 'restore.bump'],
  ['a name that leaves the folder', { initialCluster: '..=http://a:1', allMembers: true }, 'restore.name'],
];

for (const [what, some, code] of REFUSED) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => planRestore(request(some), POINT),
      (error) => hasCode(error, code) && error.hint !== undefined,
    );
  });
}
