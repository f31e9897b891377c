import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { type JournalEntry, openJournal } from './journal.ts';

const ENTRY: JournalEntry = {
  ...{
    format: 1,
    operation: 'op-1',
    term: 2n ** 60n,
    state: 'Staged',
    furthest: 'Staged',
    sinceMs: 5,
    message: '',
  },
  ...{ subject: '{}', deadlineMs: 7 },
  plan: {
    ...{ cluster: 'c', timeline: '000001', chain: 'x', revision: 9n, token: 't', bumpTo: 10n, quiesce: true },
    members: [{ node: 'n', name: 'm', peerUrls: ['http://a'], agentAddress: 'a:1' }],
  },
  etcd: {
    ...{ runsAs: 'STATIC_POD', runsFrom: '/m/etcd.yaml', name: 'm', dataDir: '/d', walDir: '' },
    ...{ endpoints: ['http://b'], apiServers: ['/m/api.yaml'] },
  },
  staged: { hashKv: 1, clusterId: 2n ** 64n - 1n, memberId: 3n, revision: 10n, keys: 4 },
};

test('what a journal says is there after a restart, whole, for its owner only', async () => {
  await using folder = await temporaryFolder();
  const journal = await openJournal(folder.join('restores'));
  await journal.write(ENTRY);
  await journal.write({ ...ENTRY, state: 'Quiescing' });
  const again = await openJournal(folder.join('restores'));
  assert.deepEqual(again.find('op-1'), { ...ENTRY, state: 'Quiescing' });
  assert.equal((await stat(folder.join('restores/op-1.json'))).mode & 0o777, 0o600);
  await assert.rejects(journal.write({ ...ENTRY, operation: '../op' }), { code: 'agent.request' });
});

test('a journal that can’t be read is told, not passed over', async () => {
  await using folder = await temporaryFolder();
  await writeFile(folder.join('op-1.json'), '{"format":1');
  await assert.rejects(openJournal(folder.path), { code: 'restore.journal', message: /op-1\.json/ });
});
