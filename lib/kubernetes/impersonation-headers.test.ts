import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { impersonationHeaders } from './impersonation-headers.ts';

test('user, uid, groups and extra become headers, keys of extra percent-encoded where servers would change them', () => {
  const headers = impersonationHeaders({
    username: 'tina',
    uid: 'u-1',
    groups: ['dev', 'ops'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['agent-1'],
      'Team%': ['a', 'b'],
      empty: [],
    },
  });
  assert.deepEqual(headers, {
    'impersonate-user': 'tina',
    'impersonate-uid': 'u-1',
    'impersonate-group': ['dev', 'ops'],
    'impersonate-extra-authentication.kubernetes.io%2fpod-name': ['agent-1'],
    'impersonate-extra-%54eam%25': ['a', 'b'],
  });
});

test('names that are no Latin go out as UTF-8', () => {
  const value = impersonationHeaders({ username: 'jürgen' })['impersonate-user'];
  assert.equal(Buffer.from(String(value), 'latin1').toString('utf8'), 'jürgen');
});

test('a user that headers can’t name exactly is refused, and one without a name above all', () => {
  const refused = [
    { username: '' },
    { username: '', groups: ['system:masters'] },
    { username: 'admin ' },
    { username: ' admin' },
    { username: 'a\r\nimpersonate-group: system:masters' },
    { username: 'tina', groups: ['dev\n'] },
    { username: 'tina', groups: ['dev', '\tops'] },
    { username: 'tina', uid: 'u\u0000' },
    { username: 'tina', extra: { '': ['x'] } },
    { username: 'tina', extra: { team: ['x '] } },
    { username: 'tina\ud800' },
  ];
  for (const requester of refused)
    assert.throws(
      () => impersonationHeaders(requester),
      (error) => hasCode(error, 'kubernetes.invalid'),
      JSON.stringify(requester),
    );
});
