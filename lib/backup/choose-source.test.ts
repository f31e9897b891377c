import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointStatus, MemberList, MemberStatus } from '../etcd/client/etcd-client.ts';
import { GuardianError } from '../guardian-error.ts';
import { chooseSource, type ChoosingClient, type ChosenSource, type SourceOptions } from './choose-source.ts';

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
    clientUrls: [`http://m${id}:2379`],
    isLearner: false,
  })),
};

interface Situation extends SourceOptions {
  readonly members?: () => Promise<MemberList>;
  /** Who answers without being among the endpoints. */
  readonly others?: readonly EndpointStatus[];
}

function choose(
  statuses: readonly EndpointStatus[],
  { members = () => Promise.resolve(NAMES), others = [], ...options }: Situation = {},
): Promise<ChosenSource> {
  return chooseSource(clientOf(statuses, members, others), options);
}

function clientOf(
  statuses: readonly EndpointStatus[],
  members: () => Promise<MemberList>,
  others: readonly EndpointStatus[] = [],
): ChoosingClient {
  return {
    endpoints: statuses.map(({ endpoint }) => endpoint),
    statuses: () => Promise.resolve([...statuses]),
    members,
    status: (endpoint) => {
      const found = others.find((one) => one.endpoint === endpoint);
      if (found?.status !== undefined) return Promise.resolve(found.status);
      return Promise.reject(new GuardianError('etcd.refused', `${endpoint} refuses`));
    },
  };
}

function proversOf({ provers }: ChosenSource): string[] {
  return provers.map(({ endpoint }) => endpoint);
}

test('a follower is read and another one proves before the leader, by their names', async () => {
  const source = await choose([member(1n), member(2n, { applied: 999n }), member(3n)]);
  assert.deepEqual([source.memberName, source.endpoint], ['etcd-3', 'http://m3:2379']);
  assert.deepEqual(proversOf(source), ['http://m2:2379', 'http://m1:2379']);
  assert.equal(source.memberNames.get(2n), 'etcd-2');
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

test('who failed is not read again, nor asked unless that may be', async () => {
  const all = [member(1n), member(2n), member(3n)];
  const source = await choose(all, { failed: new Set([2n]), notSource: new Set([3n]) });
  assert.deepEqual([source.memberName, proversOf(source)], ['etcd-1', ['http://m3:2379']]);
  await assert.rejects(choose(all, { failed: new Set([1n, 2n, 3n]) }), {
    ...{ code: 'etcd.no-member', message: /failed before/ },
  });
});

test('a member that only the cluster’s list names is asked before the leader, and never read', async () => {
  const given = [member(1n), member(2n, { applied: 900n })];
  const source = await choose(given, { others: [member(3n)] });
  assert.equal(source.memberName, 'etcd-2');
  assert.deepEqual(proversOf(source), ['http://m3:2379', 'http://m1:2379']);
  const alone = await choose([member(1n)], { others: [member(3n)] });
  assert.deepEqual([alone.memberName, proversOf(alone)], ['etcd-1', ['http://m3:2379']]);
  const unasked = await choose(given, { others: [member(3n)], listedMembers: false });
  assert.deepEqual(proversOf(unasked), ['http://m1:2379']);
});

test('of listed members those that don’t answer, or are others than listed, are left out', async () => {
  const impostor = { ...member(2n), endpoint: 'http://m3:2379' };
  assert.deepEqual(proversOf(await choose([member(1n)], { others: [impostor] })), []);
  const stranger = member(3n);
  if (stranger.status !== undefined) {
    const header = { ...stranger.status.header, clusterId: 0xc2n };
    const others = [{ ...stranger, status: { ...stranger.status, header } }];
    assert.deepEqual(proversOf(await choose([member(1n)], { others })), []);
  }
});

test('plain http is not spoken to listed members where the endpoints have TLS', async () => {
  const secure = member(1n);
  const source = await choose([{ ...secure, endpoint: 'https://m1:2379' }], { others: [member(3n)] });
  assert.deepEqual(proversOf(source), []);
});

test('without the right to list members there is a backup all the same', async () => {
  const denied = (): Promise<MemberList> =>
    Promise.reject(new GuardianError('etcd.permission-denied', 'no right'));
  assert.deepEqual((await choose([member(1n), member(2n)], { members: denied })).memberName, '');
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
  await assert.rejects(choose([member(1n)], { members, signal: stop.signal }), /enough/);
});
