import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { nextMove } from './next-move.ts';

function states(...names: readonly string[]): RestoreState[] {
  return names.map((state) => ({
    ...{ operation: 'o', term: 1n, state, message: '', previousDataDir: '', staged: undefined, subject: '' },
    ...{ problem: undefined, sinceMs: 0, deadlineMs: 0, committedMs: 0, point: undefined },
    ...{ givenUp: false, members: [] },
  }));
}

test('a later coordinator begins what nobody began, and concludes what isn’t over everywhere', () => {
  assert.equal(nextMove([]), 'begin');
  assert.equal(nextMove(states('Staged', 'Staging')), 'begin');
  assert.equal(nextMove(states('Staged', 'Quiescing')), 'conclude');
  assert.equal(nextMove(states('Staged', 'Failed')), 'conclude');
  assert.equal(nextMove(states('Verified', 'Committed')), 'conclude');
  assert.equal(nextMove(states('Resumed', 'Verified')), 'conclude');
  assert.equal(nextMove(states('RollingBack', 'RolledBack')), 'conclude');
  assert.equal(nextMove(states('Resumed', 'SomethingNewer')), 'conclude');
  assert.equal(nextMove(states('Resumed', 'CleanedUp')), 'over');
  assert.equal(nextMove(states('RolledBack', 'Failed')), 'over');
});
