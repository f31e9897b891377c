import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { ownMove } from './restore-watchdog.ts';

const MEMBER = { node: 'n', name: 'm', peerUrls: [], agentAddress: '' };

function entry(state: JournalEntry['state'], members = 1): JournalEntry {
  return {
    ...{ format: 1, operation: 'o', term: 1n, state, furthest: state, sinceMs: 0, message: '', subject: '' },
    deadlineMs: 100,
    plan: {
      ...{ cluster: 'c', timeline: 't', chain: 'x', revision: 1n, token: 't', bumpTo: 2n, quiesce: true },
      members: Array.from({ length: members }, () => MEMBER),
    },
    etcd: {
      ...{ runsAs: 'STATIC_POD', runsFrom: '', name: '', dataDir: '/d', walDir: '' },
      ...{ endpoints: [], apiServers: [] },
    },
  };
}

test('alone past its deadline a node goes back before the commit, and on after it', () => {
  const at = (state: JournalEntry['state'], now: number): unknown => ownMove(entry(state), now, 1_000);
  for (const state of ['Staged', 'Quiescing', 'Swapped', 'Verified'] as const)
    assert.deepEqual([at(state, 99), at(state, 100)], [undefined, 'rollBack'], state);
  for (const state of ['Committed', 'Resuming'] as const)
    assert.deepEqual([at(state, 99), at(state, 100)], [undefined, 'resume'], state);
  assert.equal(at('RollingBack', 0), 'rollBack');
  assert.deepEqual([at('Resumed', 999), at('Resumed', 1_000)], [undefined, 'cleanUp']);
  for (const state of ['RolledBack', 'CleanedUp', 'Failed'] as const)
    assert.equal(at(state, 9_999), undefined);
});

test('one of several members decides nothing alone', () => {
  assert.equal(ownMove(entry('Swapped', 3), 200, 1_000), undefined);
});
