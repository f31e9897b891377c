import { status } from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rpcError } from './rpc-error.ts';

// The texts are those of etcd's api/v3rpc/rpctypes/error.go; 3.5 sends some of them without its prefix.
const cases: readonly [code: status, details: string, error: string, retryable: boolean][] = [
  [status.UNAUTHENTICATED, 'etcdserver: invalid auth token', 'etcd.unauthenticated', true],
  [status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old', 'etcd.unauthenticated', true],
  [
    status.INVALID_ARGUMENT,
    'etcdserver: authentication failed, invalid user ID or password',
    'etcd.unauthenticated',
    false,
  ],
  [status.INVALID_ARGUMENT, 'etcdserver: user name is empty', 'etcd.unauthenticated', false],
  [status.PERMISSION_DENIED, 'etcdserver: permission denied', 'etcd.permission-denied', false],
  [status.UNKNOWN, 'auth: permission denied', 'etcd.permission-denied', false],
  [status.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled', 'etcd.auth-off', false],
  [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted', 'etcd.compacted', false],
  [
    status.OUT_OF_RANGE,
    'etcdserver: mvcc: required revision is a future revision',
    'etcd.future-revision',
    false,
  ],
  [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded', 'etcd.no-space', false],
  [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests', 'etcd.busy', true],
  [status.DATA_LOSS, 'etcdserver: corrupt cluster', 'etcd.corrupt-alarm', false],
  [status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner', 'etcd.learner', false],
  [status.UNAVAILABLE, 'etcdserver: rpc not supported for learner', 'etcd.learner', false],
  [status.UNAVAILABLE, 'etcdserver: no leader', 'etcd.unavailable', true],
  [status.UNAVAILABLE, 'etcdserver: leader changed', 'etcd.unavailable', true],
  [
    status.UNAVAILABLE,
    'etcdserver: request timed out, possibly due to connection lost',
    'etcd.unavailable',
    true,
  ],
  [status.UNAVAILABLE, 'etcdserver: server stopped', 'etcd.unavailable', true],
  [status.UNKNOWN, 'raft: stopped', 'etcd.unavailable', true],
  [status.UNKNOWN, 'raft proposal dropped', 'etcd.unavailable', true],
  [status.DEADLINE_EXCEEDED, 'Deadline exceeded after 10.001s', 'etcd.deadline', true],
  [status.DEADLINE_EXCEEDED, 'etcdserver: context deadline exceeded', 'etcd.deadline', true],
  [status.UNAVAILABLE, 'Connection dropped', 'etcd.connection-lost', true],
  [status.UNAVAILABLE, 'read ECONNRESET', 'etcd.connection-lost', true],
  [status.INTERNAL, 'Received RST_STREAM with code 2 (Internal server error)', 'etcd.connection-lost', true],
  [status.RESOURCE_EXHAUSTED, 'Bandwidth exhausted or memory limit exceeded', 'etcd.connection-lost', true],
  [status.CANCELLED, 'Call cancelled', 'etcd.connection-lost', true],
  [status.UNIMPLEMENTED, 'unknown service etcdserverpb.Maintenance', 'etcd.unsupported', false],
  [status.PERMISSION_DENIED, 'Received HTTP status code 403', 'etcd.permission-denied', false],
  [status.INVALID_ARGUMENT, 'etcdserver: key is not provided', 'etcd.rejected', false],
];

for (const [code, details, error, retryable] of cases) {
  test(`${status[code]} "${details}" is ${error}`, () => {
    const failure = rpcError('https://etcd-0:2379', 'Maintenance/Snapshot', { code, details });
    assert.equal(failure.code, error);
    assert.equal(failure.retryable, retryable);
    assert.match(failure.message, /^https:\/\/etcd-0:2379 .* \(Maintenance\/Snapshot: /);
    assert.ok(failure.message.includes(details.replace(/^(etcdserver|auth): /, '')));
    if (error !== 'etcd.rejected' && error !== 'etcd.auth-off') assert.notEqual(failure.hint, undefined);
  });
}
