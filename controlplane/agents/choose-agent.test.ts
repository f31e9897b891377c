import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Description, EtcdFound } from '../../lib/agent-api/description.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { Pod } from '../core-resources.ts';
import type { AgentWish, KnownAgent } from './agent-directory.ts';
import { agentPods } from './agent-pods.ts';
import { chooseAgent } from './choose-agent.ts';

const ETCD: EtcdFound = {
  ...{ runsAs: 'STATIC_POD', runsFrom: '', name: 'm', dataDir: '', walDir: '', clientUrls: [], peerUrls: [] },
  ...{
    initialCluster: '',
    version: '3.6.16',
    clusterId: 7n,
    memberId: 1n,
    isLeader: false,
    isLearner: false,
  },
  ...{ revision: 100n, dbSize: 1, dbSizeInUse: 1, dbSizeQuota: 1, alarms: [], members: [] },
  ...{ dataDiskFree: 1, walDiskFree: 1, unreachable: undefined, apiServers: [] },
};

const DESCRIPTION: Description = {
  ...{
    node: '',
    version: '',
    instance: '',
    term: 0n,
    termHolder: '',
    termOperation: '',
    timeMs: 0,
    etcd: undefined,
  },
  ...{ problems: [], certificateEndsMs: 0, tasks: [], captures: [], restores: [], hooksAllowed: false },
  ...{ attachmentsAllowed: false, architecture: '' },
};

function agentOn(node: string, etcd: Partial<EtcdFound> | undefined, problem?: GuardianError): KnownAgent {
  const found = etcd === undefined ? undefined : { ...ETCD, ...etcd };
  return {
    ...{ node, podName: node, podUid: node, address: `${node}:1`, describedAt: new Date(), clockSkewMs: 0 },
    ...{ problem, description: { ...DESCRIPTION, node, etcd: found } },
  };
}

const GONE = new GuardianError('agent.unreachable', 'it is gone', { retryable: true });
const UNREACHABLE = { code: 'etcd.unreachable', message: 'etcd is down', hint: '', retryable: true };

const CHOICES: readonly (readonly [what: string, agents: KnownAgent[], chosen: string, wish?: AgentWish])[] =
  [
    [
      'a follower before the leader',
      [agentOn('a', { isLeader: true, revision: 200n }), agentOn('b', {})],
      'b',
    ],
    ['the leader when it is alone', [agentOn('a', { isLeader: true })], 'a'],
    ['the newest follower', [agentOn('a', {}), agentOn('b', { revision: 101n })], 'b'],
    ['no learner', [agentOn('a', { isLearner: true }), agentOn('b', { isLeader: true })], 'b'],
    ['none that is corrupt', [agentOn('a', { alarms: ['CORRUPT'] }), agentOn('b', { isLeader: true })], 'b'],
    ['one that is full, since it can be read', [agentOn('a', { alarms: ['NOSPACE'] })], 'a'],
    ['none that is gone', [agentOn('a', {}, GONE), agentOn('b', { isLeader: true })], 'b'],
    [
      'none whose etcd is down',
      [agentOn('a', { unreachable: UNREACHABLE }), agentOn('b', { isLeader: true })],
      'b',
    ],
    [
      'not the one that failed before',
      [agentOn('a', {}), agentOn('b', { isLeader: true })],
      'b',
      { avoid: ['a'] },
    ],
    ['the one that failed before, where there is no other', [agentOn('a', {})], 'a', { avoid: ['a'] }],
    [
      'of two clusters the one that is meant',
      [agentOn('a', {}), agentOn('b', { clusterId: 8n, clientUrls: ['https://10.0.0.2:2379'] })],
      'b',
      { endpoints: ['https://10.0.0.2:2379/'] },
    ],
  ];

for (const [what, agents, chosen, wish] of CHOICES) {
  test(`a backup is taken by ${what}`, () => {
    assert.equal(chooseAgent(agents, wish).agent.node, chosen);
  });
}

test('where nobody can be chosen, everybody’s reason is said', () => {
  assert.throws(
    () => chooseAgent([agentOn('a', {}, GONE), agentOn('b', undefined), agentOn('c', { isLearner: true })]),
    (error) =>
      hasCode(error, 'controlplane.no-agent') &&
      ['a: it is gone', 'b: no etcd', 'c: its etcd is a learner'].every((part) =>
        error.message.includes(part),
      ),
  );
});

test('two clusters are never mixed up', () => {
  assert.throws(
    () => chooseAgent([agentOn('a', {}), agentOn('b', { clusterId: 8n })]),
    (error) => hasCode(error, 'controlplane.several-clusters'),
  );
});

test('while a DaemonSet is rolled out, a node’s agent is the pod that stays', () => {
  const pod = (name: string, created: string, more: object = {}): Pod => ({
    metadata: { name, uid: name, creationTimestamp: created, ...more },
    spec: { nodeName: 'node-1' },
    status: { phase: 'Running', podIP: 'fd00::5' },
  });
  const ending = pod('ending', '2026-11-22T09:00:00Z', { deletionTimestamp: '2026-11-22T10:00:00Z' });
  const staying = pod('staying', '2026-11-22T08:00:00Z');
  const nowhere: Pod = { metadata: { name: 'nowhere' }, spec: {}, status: { phase: 'Pending' } };
  const pods = agentPods([staying, ending, nowhere], 9640);
  assert.deepEqual(
    [...pods.values()].map(({ podName, address }) => [podName, address]),
    [['staying', '[fd00::5]:9640']],
  );
});
