import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EndpointStatus, type MemberList, type MemberStatus } from '../etcd/client/etcd-client.ts';
import { GuardianError } from '../guardian-error.ts';
import { chooseSource, type ChosenSource } from './choose-source.ts';

// Doubles of the client: which members answer what is the input here, and `pick-member.server.test.ts` asks real ones.

interface Sketch {
  readonly leader?: bigint;
  readonly applied?: bigint;
  readonly revision?: bigint;
  readonly isLearner?: boolean;
}

function member(id: bigint, sketch: Sketch = {}): EndpointStatus {
  const { leader = 1n, applied = 1000n, revision = 900n, isLearner = false } = sketch;
  const endpoint = `http://m${id}:2379`;
  const status: MemberStatus = {
    ...{ endpoint, header: { clusterId: 0xc1n, memberId: id, revision, raftTerm: 2n } },
    ...{
      version: '3.6.16',
      storageVersion: '3.6.0',
      dbSize: 20_480,
      dbSizeInUse: 16_384,
      dbSizeQuota: undefined,
    },
    ...{ leader, isLeader: leader === id, isLearner, raftIndex: applied, raftAppliedIndex: applied },
    ...{ alarms: [], errors: [] },
  };
  return { endpoint, status };
}

function silent(id: bigint, code = 'etcd.refused'): EndpointStatus {
  const endpoint = `http://m${id}:2379`;
  return { endpoint, error: new GuardianError(code, `${endpoint} is silent`, { retryable: true }) };
}

const NAMES: MemberList = {
  header: { clusterId: 0xc1n, memberId: 1n, revision: 900n, raftTerm: 2n },
  members: [1n, 2n, 3n].map((id) => ({
    id,
    name: `etcd-${id}`,
    peerUrls: [],
    clientUrls: [],
    isLearner: false,
  })),
};

function choose(
  statuses: readonly EndpointStatus[],
  failed: readonly bigint[] = [],
  members: () => Promise<MemberList> = () => Promise.resolve(NAMES),
): Promise<ChosenSource> {
  const client = { statuses: () => Promise.resolve([...statuses]), members };
  return chooseSource(client, new Set(failed), undefined);
}

test('a follower is read and another one proves, by their names', async () => {
  const source = await choose([member(1n), member(2n, { applied: 999n }), member(3n)]);
  assert.deepEqual(
    [source.memberName, source.endpoint, source.prover],
    [...['etcd-3', 'http://m3:2379', 'http://m2:2379']],
  );
  assert.deepEqual(source.warnings, []);
});

test('the cluster’s revision is the highest that anyone shows, whoever is read', async () => {
  const source = await choose([
    member(1n, { revision: 905n }),
    member(2n),
    member(3n, { isLearner: true, revision: 907n }),
  ]);
  assert.deepEqual([source.memberName, source.clusterRevision], ['etcd-2', 907n]);
});

test('who failed is not read again', async () => {
  const all = [member(1n), member(2n), member(3n)];
  assert.equal((await choose(all, [2n, 3n])).memberName, 'etcd-1');
  await assert.rejects(choose(all, [1n, 2n, 3n]), { code: 'etcd.no-member', message: /failed before/ });
});

test('without the right to list members there is a backup all the same', async () => {
  const denied = (): Promise<MemberList> =>
    Promise.reject(new GuardianError('etcd.permission-denied', 'no right'));
  assert.deepEqual((await choose([member(1n), member(2n)], [], denied)).memberName, '');
});

test('what all endpoints say is said as it is; else each one’s reason is', async () => {
  await assert.rejects(choose([silent(1n), silent(2n)]), {
    code: 'etcd.refused',
    message: 'http://m1:2379 is silent',
  });
  await assert.rejects(choose([silent(1n), silent(2n, 'etcd.tls')]), {
    ...{ code: 'etcd.no-member', message: /http:\/\/m1:2379 is silent; http:\/\/m2:2379 is silent/ },
  });
  assert.equal((await choose([silent(1n), member(2n, { leader: 3n })])).memberName, 'etcd-2');
});

test('an abort while members are asked is an abort', async () => {
  const stop = new AbortController();
  const members = (): Promise<MemberList> => {
    stop.abort(new Error('enough'));
    return Promise.reject(new Error('cut off'));
  };
  const client = { statuses: () => Promise.resolve([member(1n)]), members };
  await assert.rejects(chooseSource(client, new Set(), stop.signal), /enough/);
});
