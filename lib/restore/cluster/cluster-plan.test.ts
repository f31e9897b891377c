import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Description } from '../../agent-api/description.ts';
import { GuardianError } from '../../guardian-error.ts';
import { type NodeFacts, planClusterRestore, type PointFacts, type RestoreWish } from './cluster-plan.ts';
import { nextMove } from './coordinate-restore.ts';

type Etcd = NonNullable<Description['etcd']>;

const ETCD: Etcd = {
  ...{ runsAs: 'STATIC_POD', runsFrom: '/m/etcd.yaml', name: 'm1', dataDir: '/var/lib/etcd', walDir: '' },
  ...{ clientUrls: ['https://10.0.0.1:2379'], peerUrls: ['https://10.0.0.1:2380'], initialCluster: '' },
  ...{ version: '3.6.16', clusterId: 7n, memberId: 1n, isLeader: true, isLearner: false, revision: 5_000n },
  ...{ dbSize: 1, dbSizeInUse: 1, dbSizeQuota: 0, alarms: [], dataDiskFree: 1e12, walDiskFree: 1e12 },
  members: [
    {
      id: 1n,
      name: 'm1',
      peerUrls: ['https://10.0.0.1:2380'],
      clientUrls: ['https://10.0.0.1:2379'],
      isLearner: false,
    },
  ],
  ...{ unreachable: undefined, apiServers: ['/m/kube-apiserver.yaml'] },
};
const DAY_MS = 86_400_000;
const DESCRIPTION: Description = {
  ...{
    node: 'n1',
    version: '1',
    instance: 'i',
    term: 1n,
    termHolder: '',
    timeMs: 0,
    etcd: ETCD,
    problems: [],
  },
  ...{ certificateEndsMs: DAY_MS, tasks: [], captures: [], restores: [], hooksAllowed: false },
  ...{ attachmentsAllowed: false, architecture: 'x64' },
};
const POINT: PointFacts = {
  ...{ cluster: 'own', timeline: '000001', chain: 'base', revision: 100n, time: undefined, bytes: 1e6 },
  ...{
    versions: { storageVersion: undefined, clusterVersion: '3.6.0' },
    label: 'backup base',
    highWater: 200n,
  },
};
const WISH: RestoreWish = {
  ...{ operation: 'op', ownCluster: 'own', quiesce: true, checkVersions: true, allowMismatch: false },
  ...{ hooks: false, hooksAllowed: false, confirm: { endpoints: [], dataDir: undefined } },
};

function node(
  etcd: Partial<Etcd> = {},
  description: Partial<Description> = {},
  facts: Partial<NodeFacts> = {},
): NodeFacts {
  return {
    ...{ node: 'n1', address: '10.0.0.1:9640', clockSkewMs: 0, problem: undefined },
    description: { ...DESCRIPTION, etcd: { ...ETCD, ...etcd }, ...description },
    ...facts,
  };
}

const second = { ...ETCD.members[0], id: 2n, name: 'm2', peerUrls: [], clientUrls: [], isLearner: false };
const AWAY = new GuardianError('agent.unreachable', 'away');
const CASES: readonly (readonly [
  codes: string[],
  nodes: NodeFacts[],
  wish?: Partial<RestoreWish>,
  point?: Partial<PointFacts>,
])[] = [
  [[], [node()]],
  [['restore.no-etcd'], []],
  [['restore.agent-away', 'restore.no-etcd'], [node({}, {}, { description: undefined, problem: AWAY })]],
  [['restore.no-agent'], [node({ members: [...ETCD.members, second] })]],
  [
    ['restore.many-members', 'restore.many-clusters'],
    [node(), node({ memberId: 2n, clusterId: 8n }, { node: 'n2' }, { node: 'n2' })],
  ],
  [['restore.unmanaged'], [node({ runsAs: 'RUNS_AS_UNKNOWN', runsFrom: 'k3s' })]],
  [['restore.no-api-server'], [node({ apiServers: [] })]],
  [[], [node({ apiServers: [] })], { quiesce: false }],
  [['restore.no-space'], [node({ dataDiskFree: 1e6 })]],
  [['restore.certificate'], [node({}, { certificateEndsMs: 1 })]],
  [['restore.version'], [node({ version: '3.5.35' })]],
  [[], [node({ version: '3.5.35' })], { allowMismatch: true }],
  [['restore.version'], [node({ version: '3.4.23' })], { allowMismatch: true }],
  [[], [node({ version: '3.4.23' })], { checkVersions: false }],
  [['restore.hooks-off'], [node()], { hooks: true, hooksAllowed: true }],
  [[], [node({}, { hooksAllowed: true })], { hooks: true, hooksAllowed: true }],
  [['restore.other-cluster'], [node()], { confirm: { endpoints: ['10.9.9.9:2379'], dataDir: undefined } }],
  [[], [node()], { confirm: { endpoints: ['10.0.0.1:2379/'], dataDir: '/var/lib/etcd/' } }],
];

for (const [codes, nodes, wish = {}, point = {}] of CASES) {
  test(`a plan for ${nodes.length} agents and ${JSON.stringify(wish)} is stopped by ${codes.join(', ') || 'nothing'}`, () => {
    const { problems } = planClusterRestore(nodes, { ...POINT, ...point }, { ...WISH, ...wish });
    assert.deepEqual(
      problems.map(({ code }) => code),
      codes,
    );
    for (const { hint } of problems) assert.ok(hint !== undefined);
  });
}

test('a plan counts everything that was ever served, and says what it does', () => {
  const { highWater, lines, participants } = planClusterRestore([node()], POINT, WISH);
  assert.equal(highWater, 5_000n);
  assert.deepEqual(participants[0]?.peerUrls, ['https://10.0.0.1:2380']);
  assert.match(
    lines.join('\n'),
    /n1: member m1 in \/var\/lib\/etcd; stops \/m\/kube-apiserver\.yaml, then etcd/,
  );
});

test('a later coordinator finishes what anyone committed, and puts back what nobody did', () => {
  const state = (name: string) => ({
    ...{ operation: 'o', term: 1n, state: name, message: '', previousDataDir: '', staged: undefined },
    ...{
      problem: undefined,
      sinceMs: 0,
      subject: '',
      deadlineMs: 0,
      committedMs: 0,
      givenUp: false,
      point: undefined,
    },
  });
  assert.equal(nextMove([]), 'begin');
  assert.equal(nextMove([state('Staged')]), 'begin');
  assert.equal(nextMove([state('Staged'), state('Quiescing')]), 'abandon');
  assert.equal(nextMove([state('Verified'), state('Committed')]), 'finish');
  assert.equal(nextMove([state('RollingBack'), state('RolledBack')]), 'abandon');
  assert.equal(nextMove([state('Resumed')]), 'over');
});
