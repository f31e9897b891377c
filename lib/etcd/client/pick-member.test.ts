import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GuardianError, hasCode } from '../../guardian-error.ts';
import type { Alarm, EndpointStatus, MemberStatus } from './etcd-client.ts';
import { type ClusterView, pickMember, type PickOptions } from './pick-member.ts';

type Sketch = Partial<Omit<MemberStatus, 'header'>> & {
  readonly id: bigint;
  readonly cluster?: bigint;
  readonly revision?: bigint;
};

/** A member of cluster c1 whose leader is member 1, all having applied 1000. */
function member(sketch: Sketch): EndpointStatus {
  const { id, cluster = 0xc1n, revision = 900n, ...given } = sketch;
  const endpoint = given.endpoint ?? `http://m${id}:2379`;
  const leader = 'leader' in given ? given.leader : 1n;
  const status: MemberStatus = {
    endpoint,
    header: { clusterId: cluster, memberId: id, revision, raftTerm: 2n },
    version: '3.6.16',
    storageVersion: '3.6.0',
    dbSize: 20_480,
    dbSizeInUse: 16_384,
    dbSizeQuota: undefined,
    isLearner: false,
    raftIndex: 1000n,
    raftAppliedIndex: 1000n,
    alarms: [],
    errors: [],
    ...given,
    leader,
    isLeader: leader === id,
  };
  return { endpoint, status };
}

function away(endpoint: string): EndpointStatus {
  return {
    endpoint,
    error: new GuardianError('etcd.refused', `${endpoint} refuses`, { retryable: true, hint: 'start it' }),
  };
}

const NOSPACE: Alarm = { memberId: 3n, kind: 'NOSPACE' };
const CORRUPT_2: Alarm = { memberId: 2n, kind: 'CORRUPT' };

interface Case {
  readonly holds: string;
  readonly statuses: readonly EndpointStatus[];
  readonly alarms?: readonly Alarm[];
  readonly options?: PickOptions;
  /** Member ids. */
  readonly source: bigint;
  readonly provers: readonly bigint[];
  readonly warning?: RegExp;
}

const cases: readonly Case[] = [
  {
    holds: 'a single member gives the snapshot, and there is no other to prove it',
    statuses: [member({ id: 1n })],
    source: 1n,
    provers: [],
  },
  {
    holds: 'a follower goes before the leader, and another follower proves',
    statuses: [member({ id: 1n }), member({ id: 2n }), member({ id: 3n })],
    source: 2n,
    provers: [3n, 1n],
  },
  {
    holds: 'of two followers the most applied one is taken',
    statuses: [member({ id: 1n }), member({ id: 2n }), member({ id: 3n, raftAppliedIndex: 1001n })],
    source: 3n,
    provers: [2n, 1n],
  },
  {
    holds: 'the higher revision decides between equally applied followers',
    statuses: [member({ id: 2n }), member({ id: 3n, revision: 901n })],
    source: 3n,
    provers: [2n],
  },
  {
    holds: 'with one follower left, the leader is asked: no member proves itself while there is another',
    statuses: [member({ id: 1n }), member({ id: 2n }), away('http://m3:2379')],
    source: 2n,
    provers: [1n],
  },
  {
    holds: 'a follower that lags far behind is worse than the leader, but may still prove',
    statuses: [member({ id: 1n, raftAppliedIndex: 9000n }), member({ id: 2n })],
    source: 1n,
    provers: [2n],
  },
  {
    holds: 'a small distance is no lag: statuses are not taken at one instant',
    statuses: [member({ id: 1n, raftAppliedIndex: 5000n }), member({ id: 2n })],
    source: 2n,
    provers: [1n],
  },
  {
    holds: 'a member that failed before is neither read nor asked again',
    statuses: [member({ id: 1n }), member({ id: 2n }), member({ id: 3n })],
    options: { failed: new Set([2n]) },
    source: 3n,
    provers: [1n],
  },
  {
    holds: 'a member that shall not be read may still prove',
    statuses: [member({ id: 1n }), member({ id: 2n }), member({ id: 3n })],
    options: { notSource: new Set([2n]) },
    source: 3n,
    provers: [2n, 1n],
  },
  {
    holds: 'a follower that lags is asked after the others, and the leader last',
    statuses: [
      member({ id: 1n, raftAppliedIndex: 9000n }),
      member({ id: 2n }),
      member({ id: 3n, raftAppliedIndex: 9000n }),
      member({ id: 4n, raftAppliedIndex: 8999n }),
    ],
    source: 3n,
    provers: [4n, 2n, 1n],
  },
  {
    holds: 'a learner is left out while a voting member is there, even when allowed',
    statuses: [member({ id: 1n }), member({ id: 4n, isLearner: true })],
    options: { allowLearner: true },
    source: 1n,
    provers: [],
  },
  {
    holds: 'an allowed learner is taken when nothing else is left; it can prove nothing',
    statuses: [member({ id: 4n, isLearner: true }), away('http://m1:2379')],
    options: { allowLearner: true },
    source: 4n,
    provers: [],
    warning: /is a learner/,
  },
  {
    holds: 'a CORRUPT member is left out, and told',
    statuses: [
      member({ id: 1n, alarms: [CORRUPT_2] }),
      member({ id: 2n, alarms: [CORRUPT_2] }),
      member({ id: 3n, alarms: [CORRUPT_2] }),
    ],
    source: 3n,
    provers: [1n],
    warning: /http:\/\/m2:2379 CORRUPT/,
  },
  {
    holds: 'an alarm that only the alarm list knows counts too',
    statuses: [member({ id: 1n }), member({ id: 2n })],
    alarms: [CORRUPT_2],
    source: 1n,
    provers: [],
    warning: /m2:2379 CORRUPT/,
  },
  {
    holds: 'a full member may still give a snapshot',
    statuses: [member({ id: 3n, alarms: [NOSPACE] })],
    source: 3n,
    provers: [],
    warning: /NOSPACE alarm is on/,
  },
  {
    holds: 'a member that sees a leader goes before one that sees none',
    statuses: [member({ id: 2n, leader: undefined, raftAppliedIndex: 1200n }), member({ id: 3n })],
    source: 3n,
    provers: [2n],
  },
  {
    holds: 'with no leader anywhere the most applied survivor is taken, with a warning',
    statuses: [
      member({ id: 2n, leader: undefined }),
      member({ id: 3n, leader: undefined, raftAppliedIndex: 1001n }),
    ],
    source: 3n,
    provers: [2n],
    warning: /no leader/,
  },
  {
    holds: 'two endpoints of one member are one member',
    statuses: [
      member({ id: 2n, endpoint: 'http://balancer:2379' }),
      member({ id: 2n }),
      member({ id: 1n, endpoint: 'http://balancer-b:2379' }),
    ],
    source: 2n,
    provers: [1n],
  },
  {
    holds: 'etcd 3.5.0 to 3.5.2 is warned about',
    statuses: [member({ id: 1n, version: '3.5.2' })],
    source: 1n,
    provers: [],
    warning: /upgrade to 3\.5\.3/,
  },
];

describe('the member for a snapshot', () => {
  for (const { holds, statuses, alarms, options, source, provers, warning } of cases) {
    test(holds, () => {
      const pick = pickMember({ statuses, alarms }, options);
      assert.equal(pick.source.status.header.memberId, source);
      assert.deepEqual(
        pick.provers.map(({ status }) => status.header.memberId),
        provers,
      );
      assert.notEqual(pick.source.reason, '');
      if (warning === undefined) assert.deepEqual(pick.warnings, []);
      else assert.match(pick.warnings.join('\n'), warning);
    });
  }

  test('carries its name and the endpoint it was seen at first', () => {
    const names = [{ id: 2n, name: 'etcd-b', peerUrls: [], clientUrls: [], isLearner: false }];
    const statuses = [member({ id: 2n, endpoint: 'http://a' }), member({ id: 2n, endpoint: 'http://b' })];
    const { source } = pickMember({ statuses, members: names });
    assert.equal(source.name, 'etcd-b');
    assert.equal(source.endpoint, 'http://a');
  });

  test('isn’t there when the only one shall not be read', () => {
    assert.throws(() => pickMember({ statuses: [member({ id: 1n })] }, { notSource: new Set([1n]) }), {
      code: 'etcd.no-member',
      message: /m1:2379 failed before/,
    });
  });

  const refusals: [holds: string, view: ClusterView, options: PickOptions, code: string, says: RegExp][] = [
    [
      'every reason is told when there is none',
      {
        statuses: [
          away('http://m1:2379'),
          member({ id: 2n, alarms: [CORRUPT_2] }),
          member({ id: 3n }),
          member({ id: 4n, isLearner: true }),
        ],
      },
      { failed: new Set([3n]) },
      'etcd.no-member',
      /m2:2379 has a CORRUPT alarm; .*m3:2379 failed before; .*m4:2379 is a learner; .*m1:2379 refuses/,
    ],
    [
      'an alarm for nobody in particular is an alarm for all',
      { statuses: [member({ id: 1n }), member({ id: 2n })], alarms: [{ memberId: 0n, kind: 'CORRUPT' }] },
      {},
      'etcd.no-member',
      /m1:2379 has a CORRUPT alarm; .*m2:2379 has a CORRUPT alarm/,
    ],
    [
      'members of different clusters are refused',
      { statuses: [member({ id: 1n }), member({ id: 2n, cluster: 0xc2n })] },
      {},
      'etcd.mixed-clusters',
      /m1:2379 to c1, .*m2:2379 to c2/,
    ],
  ];
  for (const [holds, view, options, code, says] of refusals) {
    test(holds, () => {
      assert.throws(
        () => pickMember(view, options),
        (error) => hasCode(error, code) && says.test(error.message),
      );
    });
  }
});
