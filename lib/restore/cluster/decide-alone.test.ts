import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moveByPeers, ownMove, type PeerAnswer, settleMove } from './decide-alone.ts';
import type { JournalEntry } from './journal.ts';

const MEMBER = { node: 'n', name: 'm', peerUrls: [], agentAddress: '' };

function entry(state: JournalEntry['state'], givenUp = false): JournalEntry {
  return {
    ...{ format: 1, operation: 'o', term: 1n, state, furthest: state, sinceMs: 0, message: '', subject: '' },
    ...{ deadlineMs: 100, givenUp },
    plan: {
      ...{ cluster: 'c', timeline: 't', chain: 'x', revision: 1n, token: 't', bumpTo: 2n, quiesce: true },
      members: [MEMBER, MEMBER, MEMBER],
    },
    etcd: {
      ...{ runsAs: 'STATIC_POD', runsFrom: '', name: '', dataDir: '/d', walDir: '' },
      ...{ endpoints: [], apiServers: [] },
    },
  };
}

function answer(fate: PeerAnswer['fate'], givenUp = false, node = 'p'): PeerAnswer {
  return { node, fate, givenUp };
}

test('alone past its deadline a node goes back before its vote, gives up after it, and goes on after its commit', () => {
  const at = (state: JournalEntry['state'], isPast: boolean, givenUp = false): unknown =>
    ownMove(entry(state, givenUp), { isPast, nowMs: 500, keepPreviousMs: 1_000 });
  for (const state of ['Staged', 'Quiescing', 'Swapped', 'Verifying'] as const)
    assert.deepEqual([at(state, false), at(state, true)], [undefined, 'rollBack'], state);
  assert.deepEqual([at('Verified', false), at('Verified', true)], [undefined, 'giveUp']);
  assert.deepEqual([at('Verified', false, true), at('Verified', true, true)], ['askPeers', 'askPeers']);
  for (const state of ['Committed', 'Resuming'] as const)
    assert.deepEqual([at(state, false), at(state, true)], [undefined, 'resume'], state);
  assert.equal(at('RollingBack', false), 'rollBack');
  for (const state of ['RolledBack', 'CleanedUp', 'Failed'] as const)
    assert.equal(at(state, true), undefined);
  const old = ownMove(entry('Resumed'), { isPast: false, nowMs: 1_000, keepPreviousMs: 1_000 });
  assert.deepEqual([at('Resumed', true), old], [undefined, 'cleanUp']);
});

test('one that has given up follows whoever has decided, goes back when all have given up, and else waits', () => {
  const move = (...answers: PeerAnswer[]): string => moveByPeers(answers).move;
  const away = answer(undefined);
  assert.equal(move(answer('committed'), away), 'commit');
  assert.equal(move(answer('aborted'), away), 'rollBack');
  assert.equal(move(answer('voted', true), answer('voted', true)), 'rollBack');
  assert.equal(move(), 'rollBack');
  assert.equal(move(answer('voted', true), answer('voted')), 'wait');
  assert.equal(move(answer('voted', true), answer('open')), 'wait');
  assert.equal(move(answer('voted', true), away), 'wait');
});

test('a person decides only what no node has decided, and only for nodes that are named', () => {
  const back = { commit: false, withoutNodes: ['gone'] };
  const on = { commit: true, withoutNodes: ['gone'] };
  const gone = answer(undefined, false, 'gone');
  const given = answer('voted', true);
  assert.equal(settleMove('voted', [given, gone], on).move, 'commit');
  assert.equal(settleMove('voted', [given, gone], back).move, 'rollBack');
  assert.equal(settleMove('open', [], back).move, 'rollBack');
  assert.equal(settleMove('committed', [], on).move, 'nothing');
  const refusals = [
    [settleMove('voted', [given, answer(undefined)], on), 'restore.peers-away'],
    [settleMove('voted', [answer('voted'), gone], back), 'restore.peers-away'],
    [settleMove('voted', [answer('committed'), gone], back), 'restore.committed'],
    [settleMove('voted', [answer('aborted'), gone], on), 'restore.order'],
    [settleMove('voted', [answer('open'), gone], on), 'restore.order'],
    [settleMove('open', [], on), 'restore.order'],
    // Each of them may be going back already.
    [settleMove('voted', [given, given], on), 'restore.given-up'],
    [settleMove('voted', [], on), 'restore.given-up'],
    // It may be about to vote.
    [settleMove('voted', [given, answer('open')], back), 'restore.peers-away'],
    // Not lost at all.
    [settleMove('voted', [given, answer('voted', false, 'gone')], on), 'restore.peers-away'],
    [settleMove('committed', [], back), 'restore.committed'],
  ] as const;
  for (const [refusal, code] of refusals)
    assert.deepEqual({ ...refusal, nodes: [] }, { move: 'refuse', code, nodes: [] });
});
