import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JournalEntry, openJournal } from '../../lib/restore/cluster/journal.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { planText } from './plan-of-request.ts';

const MEMBER = { node: 'n', name: 'm', peerUrls: ['http://a'], agentAddress: 'a:1' };
/** In the order in which a request is read. */
const PLAN: JournalEntry['plan'] = {
  ...{ grafts: 'abc', cluster: 'c', token: 't', bumpTo: 10n, quiesce: true },
  ...{ timeline: '000001', chain: 'x', revision: 9n, members: [MEMBER] },
};

test('a plan is known again after a restart of the agent, and another one is told from it', async () => {
  await using folder = await temporaryFolder();
  const entry: JournalEntry = {
    ...{ format: 1, operation: 'op', term: 1n, state: 'Staged', furthest: 'Staged', sinceMs: 0 },
    ...{ message: '', subject: '', deadlineMs: 0, plan: PLAN },
    etcd: {
      ...{ runsAs: 'STATIC_POD', runsFrom: '/m/etcd.yaml', name: 'm', dataDir: '/d', walDir: '' },
      ...{ endpoints: [], apiServers: [] },
    },
  };
  await (await openJournal(folder.path)).write(entry);
  const read = (await openJournal(folder.path)).find('op')?.plan;
  assert.ok(read !== undefined);
  assert.equal(planText(read), planText(PLAN));
  const others: readonly Partial<JournalEntry['plan']>[] = [
    { bumpTo: 11n },
    { grafts: 'abd' },
    { revision: 8n },
    { quiesce: false },
    { members: [] },
    { members: [{ ...MEMBER, agentAddress: 'a:2' }] },
    { members: [{ ...MEMBER, peerUrls: ['http://b'] }] },
  ];
  assert.equal(new Set([PLAN, ...others.map((change) => ({ ...PLAN, ...change }))].map(planText)).size, 8);
});
