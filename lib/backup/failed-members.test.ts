import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberStatus } from '../etcd/client/etcd-client.ts';
import { GuardianError } from '../guardian-error.ts';
import type { ChoosingClient, ChosenSource } from './choose-source.ts';
import { FailedMembers } from './failed-members.ts';
import { MembersDifferError } from './members-differ.ts';

// A double of the client: three healthy members, of which the first leads.

const CLIENT: ChoosingClient = {
  endpoints: ['http://m1', 'http://m2', 'http://m3'],
  statuses: () =>
    Promise.resolve([1, 2, 3].map((id) => ({ endpoint: `http://m${id}`, status: statusOf(id) }))),
  status: () => Promise.reject(new Error('all are known')),
  members: () => Promise.reject(new Error('nobody may list them')),
};

function statusOf(id: number): MemberStatus {
  return {
    endpoint: `http://m${id}`,
    header: { clusterId: 0xc1n, memberId: BigInt(id), revision: 9n, raftTerm: 2n },
    ...{ version: '3.6.16', storageVersion: '3.6.0', dbSize: 1, dbSizeInUse: 1, dbSizeQuota: undefined },
    ...{ leader: 1n, isLeader: id === 1, isLearner: false, raftIndex: 9n, raftAppliedIndex: 9n },
    ...{ alarms: [], errors: [] },
  };
}

function differ(heard: readonly bigint[], outvoted: readonly bigint[]): MembersDifferError {
  return new MembersDifferError('they differ', 'replace one', new Set(heard), new Set(outvoted));
}

async function next(failed: FailedMembers): Promise<ChosenSource> {
  return failed.nextSource(CLIENT, {});
}

function idsOf({ status, provers }: ChosenSource): bigint[] {
  return [status.header.memberId, ...provers.map(({ memberId }) => memberId)];
}

test('an outvoted member is neither read nor asked again', async () => {
  const failed = new FailedMembers();
  const first = await next(failed);
  assert.deepEqual(idsOf(first), [2n, 3n, 1n]);
  assert.equal(failed.record(first, differ([1n, 2n, 3n], [2n])), 'again');
  assert.deepEqual(idsOf(await next(failed)), [3n, 1n]);
  assert.equal(failed.anyDiffer, false);
});

test('where nobody knows which of two is wrong, a third is read, and both are asked about it', async () => {
  const failed = new FailedMembers();
  assert.equal(failed.record(await next(failed), differ([2n, 3n], [])), 'again');
  assert.deepEqual(idsOf(await next(failed)), [1n, 2n, 3n]);
  assert.equal(failed.anyDiffer, true);
});

test('where all were heard there is nobody left to read', async () => {
  const failed = new FailedMembers();
  const all = differ([1n, 2n, 3n], []);
  assert.equal(failed.record(await next(failed), all), 'give up');
  await assert.rejects(next(failed), all);
});

test('a damaged member is left out for good, one in trouble is asked for the proof and read when all are', async () => {
  const failed = new FailedMembers();
  const trouble = new GuardianError('etcd.connection-lost', 'cut');
  assert.equal(failed.record(await next(failed), new GuardianError('backup.unsound', 'damaged')), 'again');
  assert.equal(failed.record(await next(failed), trouble), 'again');
  const last = await next(failed);
  assert.deepEqual(idsOf(last), [1n, 3n]);
  assert.equal(failed.record(last, trouble), 'again');
  assert.deepEqual(idsOf(await next(failed)), [3n, 1n]);
});

test('what another member can’t mend is given up', async () => {
  const failed = new FailedMembers();
  const source = await next(failed);
  const hopeless = [
    new GuardianError('store.full', 'no room'),
    new GuardianError('etcd.permission-denied', 'no right'),
    new Error('a defect'),
  ];
  for (const error of hopeless) assert.equal(failed.record(source, error), 'give up');
  assert.equal(failed.record(source, new GuardianError('repository.history-differs', 'another')), 'again');
});
