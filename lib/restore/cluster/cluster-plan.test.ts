import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Description } from '../../agent-api/description.ts';
import { GuardianError } from '../../guardian-error.ts';
import { planClusterRestore, type PointFacts, type RestoreWish } from './cluster-plan.ts';
import type { NodeFacts } from './node-facts.ts';

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
    termOperation: '',
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
  ...{ hooks: false, hooksAllowed: false, withoutNodes: [] },
  confirm: { endpoints: [], dataDir: undefined },
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

/** The same cluster with three members, as the agent of one of their nodes tells. */
function member(at: 1 | 2 | 3, etcd: Partial<Etcd> = {}, facts: Partial<NodeFacts> = {}): NodeFacts {
  const members = ([1, 2, 3] as const).map((one) => ({
    ...{ id: BigInt(one), name: `m${one}`, isLearner: false },
    ...{ peerUrls: [`https://10.0.0.${one}:2380`], clientUrls: [`https://10.0.0.${one}:2379`] },
  }));
  const own = { name: `m${at}`, memberId: BigInt(at), members, ...etcd };
  return node(own, { node: `n${at}` }, { node: `n${at}`, address: `10.0.0.${at}:9640`, ...facts });
}

function away(at: 1 | 2 | 3): NodeFacts {
  return member(at, {}, { description: undefined, problem: AWAY });
}

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
  [['restore.no-agent'], [member(1), member(2)]],
  [
    ['restore.many-clusters'],
    [node(), node({ memberId: 2n, clusterId: 8n }, { node: 'n2' }, { node: 'n2' })],
  ],
  [[], [member(1), member(2), member(3)]],
  [
    ['restore.agent-away', 'restore.no-agent'],
    [member(1), member(2), away(3)],
  ],
  [[], [member(1), member(2), away(3)], { withoutNodes: ['n3'] }],
  [[], [member(1), member(2)], { withoutNodes: ['m3'] }],
  [[], [member(1), member(2), member(3)], { withoutNodes: ['n3'] }],
  [['restore.too-few'], [member(1), away(2), away(3)], { withoutNodes: ['n2', 'n3'] }],
  [['restore.version'], [member(1), member(2), member(3, { version: '3.5.35' })]],
  [[], [member(1), member(2, { version: '3.7.3' }), member(3)]],
  [
    ['restore.version', 'restore.version'],
    [member(1, { version: '3.5.35' }), member(2), member(3, { version: '3.7.3' })],
  ],
  [
    ['restore.no-agent', 'restore.peer-urls'],
    [member(1), member(2), member(3, { members: [], memberId: 0n, name: '', peerUrls: [] })],
  ],
  [['restore.no-space'], [member(1), member(2), member(3, { dataDiskFree: 1e6 })]],

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

test('a restore that is under way is told first, also by nodes whose etcd is stopped for it', () => {
  const state: Description['restores'][number] = {
    ...{
      operation: 'other',
      term: 1n,
      state: 'Quiesced',
      message: '',
      previousDataDir: '',
      staged: undefined,
    },
    ...{ problem: undefined, sinceMs: 0, subject: '', deadlineMs: 0, committedMs: 0, point: undefined },
    ...{ givenUp: false, members: [] },
  };
  const stopped = node({}, { etcd: undefined, restores: [state] });
  const codes = (nodes: readonly NodeFacts[], wish: Partial<RestoreWish> = {}): string[] =>
    planClusterRestore(nodes, POINT, { ...WISH, ...wish }).problems.map(({ code }) => code);
  assert.deepEqual(codes([stopped]), ['restore.busy', 'restore.no-etcd']);
  assert.deepEqual(codes([node({}, { restores: [state] })]), ['restore.busy']);
  assert.deepEqual(codes([node({}, { restores: [state] })], { operation: 'other' }), []);
  assert.deepEqual(codes([node({}, { restores: [{ ...state, state: 'RolledBack' }] })]), []);
  const lost = member(3);
  const left = [
    member(1),
    member(2),
    { ...lost, description: { ...DESCRIPTION, ...lost.description, restores: [state] } },
  ];
  assert.deepEqual(codes(left, { withoutNodes: ['n3'] }), []);
});
