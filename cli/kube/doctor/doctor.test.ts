import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../../../lib/guardian-error.ts';
import { findingsText, judgeAll } from '../doctor.ts';
import type { Installation } from '../installation.ts';
import { judgeDescription } from './ask-agents.ts';
import {
  ago,
  AUTHORITY_ENDS,
  backup,
  forbidden,
  installation,
  lease,
  NOW,
  pod,
  schedule,
  webhook,
  webhookTls,
} from './doctor.fixture.ts';
import type { Finding } from './finding.ts';

const LIMITS = { maxAgeMs: 26 * 3_600_000 };

function judged(but: Partial<Installation> = {}, now = NOW): Finding[] {
  return judgeAll(installation(but), LIMITS, false, now);
}

test('of an installation that does well nothing is said but that', () => {
  const findings = judged();
  assert.deepEqual(
    findings.filter(({ state }) => state !== 'ok'),
    [],
  );
  assert.match(findingsText(findings), /\nnothing wrong\n$/);
});

const server = installation().server;
const clockAt = (clockAheadMs: number): Installation['server'] => ({
  found: { ...('found' in server ? server.found : assert.fail()), clockAheadMs },
});
const event = (reason: string, minutesAgo: number, type = 'Warning') => ({
  ...{ metadata: { name: `e-${minutesAgo}` }, reason, type, note: `${reason} of node-1` },
  ...{ eventTime: ago(minutesAgo), regarding: { kind: 'Pod', name: 'a-1' } },
});

/** What is bad, and the one line that says so. */
const CASES: readonly (readonly [what: string, but: Partial<Installation>, state: string, line: RegExp])[] = [
  ['a webhook without caBundle', { mutating: webhook('') }, 'fail', /has no caBundle/],
  ['a webhook with another caBundle', { validating: webhook('b3RoZXI=') }, 'fail', /is not what ConfigMap/],
  ['no webhook', { mutating: { found: [] } }, 'warn', /is not registered/],
  ['a webhook that may be passed over', { mutating: webhook(undefined, 'Ignore') }, 'warn', /is passed over/],
  [
    'a CRD that is gone',
    { crds: { found: [['etcdrestores', undefined]] } },
    'fail',
    /etcdrestores.* is not there/,
  ],
  ['no policies', { policies: { found: [] } }, 'warn', /no floor under the webhook/],
  ['unbound policies', { bound: { found: [] } }, 'fail', /is bound to nothing/],
  ['no leader', { lease: { found: undefined } }, 'fail', /no replica of the control plane leads/],
  ['a leader that gave up', { lease: lease(1, '') }, 'fail', /no replica of the control plane leads/],
  ['a silent leader', { lease: lease(90) }, 'fail', /has not been heard of for 1 min 30 s/],
  [
    'our clock is off',
    { server: clockAt(-3_600_000), lease: lease(3_602) },
    'warn',
    /1 h 0 min ahead of the API/,
  ],
  ["the leader's clock is off", { lease: lease(-300) }, 'fail', /control plane's clock is 5 min 0 s ahead/],
  ["an agent's clock is off", { events: { found: [event('ClockSkew', 5)] } }, 'warn', /ClockSkew of node-1/],
  [
    'an agent that is away',
    { events: { found: [event('AgentUnreachable', 5)] } },
    'fail',
    /AgentUnreachable of/,
  ],
  ['no agent', { pods: { found: [pod('webhook', 'w-1')] } }, 'fail', /only etcd by address/],
  [
    'an agent that is not ready',
    { pods: { found: [pod('agent', 'a', false)] } },
    'fail',
    /not ready: node-1/,
  ],
  [
    'a node without its agent',
    { agents: { found: { metadata: { name: 'a' }, status: { desiredNumberScheduled: 3 } } } },
    'fail',
    /3 nodes should have one, 1 do/,
  ],
  ['no trust', { trust: { found: undefined } }, 'fail', /no agent can enrol/],
  ['no authority', { authority: { found: undefined } }, 'fail', /etcdguardian-authority is not there/],
  ['a foreign authority', { cluster: { found: 'other' } }, 'fail', /it is of another cluster/],
  [
    'an expired certificate',
    { webhookTls: await webhookTls(new Date('2026-10-20T12:00:00Z')) },
    'fail',
    /has expired on/,
  ],
  [
    'a renewal that was missed',
    { webhookTls: await webhookTls(new Date('2026-10-26T12:00:00Z')) },
    'warn',
    /should have been renewed/,
  ],
  ['no backup', { backups: { found: [] } }, 'fail', /could not be had back/],
  [
    'an old backup',
    { backups: { found: [backup('old', 3_000)] } },
    'fail',
    /ops\/old, 2d old: older than 26 h/,
  ],
  [
    'an unproven backup',
    { backups: { found: [backup('b', 9, { status: { phase: 'Completed', completionTime: ago(9) } })] } },
    'warn',
    /is not proven to equal etcd/,
  ],
  [
    'a backup that differs from etcd is no good one',
    {
      backups: {
        found: [
          backup('b', 9, {
            status: { phase: 'Completed', validationResult: { verdict: 'Unsound', proof: 'Mismatch' } },
          }),
        ],
      },
    },
    'fail',
    /could not be had back/,
  ],
  [
    'a run that failed',
    {
      backups: {
        found: [
          backup('good', 90),
          backup('bad', 9, {
            status: { phase: 'Failed', reason: 'store.denied', message: 'no', completionTime: ago(8) },
          }),
        ],
      },
    },
    'warn',
    /ops\/bad failed \[store\.denied\]: no/,
  ],
  [
    'a backup that nobody looks at',
    { backups: { found: [backup('good', 90), { ...backup('new', 9), status: {} }] } },
    'fail',
    /not looked at for over 2 min/,
  ],
  ['no schedule', { schedules: { found: [] } }, 'warn', /only when someone makes them/],
  ['a suspended one', { schedules: { found: [schedule({}, { suspend: true })] } }, 'warn', /is suspended/],
  [
    'a missed run',
    { schedules: { found: [schedule({ nextBackupTime: ago(30) })] } },
    'fail',
    /did not begin/,
  ],
  [
    'a capture that lags',
    { schedules: { found: [schedule({ capture: { time: ago(30) } })] } },
    'warn',
    /changes are stored only up to/,
  ],
];

for (const [what, but, state, line] of CASES) {
  test(`the doctor finds: ${what}`, () => {
    const bad = judged(but).filter((finding) => finding.state !== 'ok');
    assert.equal(bad.length, 1, JSON.stringify(bad, undefined, 1));
    const told = bad.map(({ message, hint = '' }) => ({ message, isHelped: hint !== '' }));
    assert.deepEqual(
      bad.map((finding) => finding.state),
      [state],
    );
    assert.match(told.map(({ message }) => message).join(), line);
    assert.ok(
      told.every(({ isHelped }) => isHelped),
      'and says what to do',
    );
  });
}

test('an authority that ended is found', () => {
  const [bad] = judged({}, new Date(AUTHORITY_ENDS.getTime() + 1)).filter(
    ({ check }) => check === 'authority',
  );
  assert.equal(bad?.state, 'fail');
});

test('what an agent said to be over is over', () => {
  const events = { found: [event('AgentUnreachable', 5), event('AgentUnreachableOver', 4, 'Normal')] };
  assert.deepEqual(
    judged({ events }).filter(({ state }) => state !== 'ok'),
    [],
  );
});

test('what one may not see is said to be unseen, and is nothing wrong', () => {
  const blind = forbidden('list');
  const { server: seen } = installation();
  const all = Object.fromEntries(Object.keys(installation()).map((key) => [key, blind]));
  const findings = judged({ ...all, server: seen, namespace: 'etcd-guardian-system' });
  assert.deepEqual(
    findings.filter(({ state }) => state === 'fail' || state === 'warn'),
    [],
  );
  assert.ok(findings.filter(({ state }) => state === 'unknown').length >= 12);
});

test('an API server that does not answer is all that is told', () => {
  const away = {
    problem: new GuardianError('kubernetes.unreachable', 'nobody answers', { retryable: true }),
  };
  const findings = judged({ server: away }).filter(({ check }) => check === 'API server');
  assert.deepEqual(
    findings.map(({ state, message }) => [state, message]),
    [['fail', 'nobody answers']],
  );
});

const DESCRIPTION: Parameters<typeof judgeDescription>[0] = {
  ...{
    node: 'node-1',
    version: '0.1.0',
    instance: 'i',
    term: 1n,
    termHolder: '',
    termOperation: '',
    timeMs: NOW.getTime(),
  },
  ...{
    problems: [],
    certificateEndsMs: NOW.getTime() + 5 * 86_400_000,
    tasks: [],
    captures: [],
    restores: [],
  },
  ...{ hooksAllowed: false, attachmentsAllowed: false, architecture: 'x64' },
  etcd: {
    ...{
      runsAs: 'STATIC_POD',
      runsFrom: '',
      name: 'm',
      dataDir: '/d',
      walDir: '',
      clientUrls: [],
      peerUrls: [],
    },
    ...{
      initialCluster: '',
      version: '3.6.16',
      clusterId: 1n,
      memberId: 1n,
      isLeader: true,
      isLearner: false,
    },
    ...{
      revision: 7n,
      dbSize: 1_000_000,
      dbSizeInUse: 1,
      dbSizeQuota: 2_000_000_000,
      alarms: [],
      members: [],
    },
    ...{ dataDiskFree: 9_000_000_000, walDiskFree: 1, unreachable: undefined, apiServers: [] },
  },
};

test('agents that are asked themselves tell of certificate, clock, alarms, quota and disk', () => {
  const states = (changes: object, etcd: object = {}, aheadMs = 0): string[] =>
    judgeDescription(
      { ...DESCRIPTION, ...changes, etcd: { ...DESCRIPTION.etcd, ...etcd } as typeof DESCRIPTION.etcd },
      aheadMs,
      NOW,
    ).map(({ check, state }) => `${check} ${state}`);
  assert.deepEqual(states({}), ['agent node-1 ok', 'etcd node-1 ok']);
  assert.deepEqual(states({ certificateEndsMs: NOW.getTime() }), ['agent node-1 warn', 'etcd node-1 ok']);
  assert.deepEqual(states({}, {}, 90_000), ['agent node-1 warn', 'etcd node-1 ok']);
  assert.deepEqual(states({}, { alarms: ['NOSPACE'] }), ['agent node-1 ok', 'etcd node-1 fail']);
  assert.deepEqual(states({}, { dbSizeQuota: 1_100_000 }), ['agent node-1 ok', 'etcd node-1 warn']);
  assert.deepEqual(states({}, { dataDiskFree: 10 }), ['agent node-1 ok', 'etcd node-1 warn']);
});
