import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CountedPod, CronJob } from './census.ts';
import { findings, type Seen } from './findings.ts';
import { staleLeases } from './master-leases.ts';

const R = new Date('2026-11-22T14:05:00Z');
const NOW = new Date('2026-11-22T15:00:30Z');

const pod = (name: string, node = 'n1', created = '2026-11-22T14:00:00Z'): [string, CountedPod] => [
  `uid of ${name}`,
  { name, node, created: new Date(created) },
];

const seen = (changes: Partial<Seen> = {}): Seen => ({
  before: { pods: new Map([pod('a/old')]), nodes: new Set(['n1']) },
  after: { pods: new Map([pod('a/old')]), nodes: new Set(['n1']) },
  ...{ cronJobs: [], restoredTo: R, now: NOW, staleLeases: [] },
  ...changes,
});

const cronJob = (name: string, schedule: string, more: Partial<CronJob['spec']> = {}): CronJob => ({
  metadata: { namespace: 'a', name },
  spec: { schedule, ...more },
});

test('nothing is told where nothing changed', () => {
  assert.deepEqual(findings(seen()), []);
});

test('pods that the API forgot, and pods that it brought back, are told by name and node', () => {
  const before = { pods: new Map([pod('a/old'), pod('a/new')]), nodes: new Set(['n1']) };
  const made = '2026-11-22T15:00:10Z';
  const after = {
    pods: new Map([pod('a/old'), pod('a/dead'), pod('a/made', 'n1', made)]),
    nodes: new Set(['n1']),
  };
  assert.deepEqual(findings(seen({ before, after })), [
    'pods that ran and that the API no longer knows (1): a/new on n1; their kubelets end them, and tokens bound to them are void',
    // What was made after the restore is nobody's ghost.
    'pods that had gone and came back (1): a/dead on n1; their kubelets start them again',
  ]);
});

test('nodes that went or came, and pods on nodes that are not there', () => {
  const before = { pods: new Map(), nodes: new Set(['n1', 'n3']) };
  const after = {
    pods: new Map([pod('a/lost', 'n4', '2026-11-22T15:00:10Z')]),
    nodes: new Set(['n1', 'n2']),
  };
  assert.deepEqual(findings(seen({ before, after })), [
    'nodes that the API no longer knows (1): n3; restart their kubelets, so that they register again',
    'nodes that had been removed and came back (1): n2; delete them',
    'pods on nodes that the API does not know (1): a/lost on n4; nobody runs them: delete them',
  ]);
});

test('CronJobs are told with how many runs were due between the restored moment and now', () => {
  const cronJobs = [
    cronJob('hourly', '0 * * * *'),
    cronJob('nightly', '0 2 * * *'),
    cronJob('in-berlin', '0 16 * * *', { timeZone: 'Europe/Berlin' }),
    cronJob('suspended', '* * * * *', { suspend: true }),
    cronJob('odd', 'TZ=nowhere * *'),
  ];
  assert.deepEqual(findings(seen({ cronJobs })), [
    'CronJobs with runs that were due since 2026-11-22T14:05:00.000Z (2): a/hourly 1, a/in-berlin 1; those may run again now, or what they did is gone',
  ]);
});

test('what could not be seen is said', () => {
  const found = findings(
    seen({
      before: undefined,
      restoredTo: undefined,
      staleLeases: undefined,
      cronJobs: [cronJob('x', '@daily')],
    }),
  );
  assert.equal(found.length, 3);
  assert.match(
    found.join('\n'),
    /before is not known.*\n.*CronJobs were lost is not known.*\n.*masterleases/,
  );
});

test('names are few where there are many', () => {
  const before = {
    pods: new Map(Array.from({ length: 500 }, (_, at) => pod(`team/pod-${at}`))),
    nodes: new Set(['n1']),
  };
  const [text = ''] = findings(seen({ before, after: { pods: new Map(), nodes: new Set(['n1']) } }));
  assert.match(text, /^pods that ran .* \(500\): .*, and 490 more; /);
  assert.ok(text.length < 1_000);
});

test('a lease of an API server is stale that was neither renewed nor ended', () => {
  const first = new Map([...Object.entries({ '10.0.0.1': 'x', '10.0.0.2': 'y', '10.0.0.3': 'z' })]);
  const second = new Map([...Object.entries({ '10.0.0.1': 'renewed', '10.0.0.3': 'z' })]);
  assert.deepEqual(staleLeases(first, second), ['10.0.0.3']);
});
