import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { clusterId, identifyCluster, idText, memberId } from './member-identity.ts';
import { memberJson } from './member-json.ts';

test('ids are those of etcd', () => {
  const id = memberId(['http://127.0.0.1:23931'], 'etcd-cluster');
  assert.equal(idText(id), '165dc7dbcac8f0a5');
  assert.equal(clusterId([id]), 0x06d4dcc8c2ec72b2n);
});

test('the order of peer URLs and of members makes no difference', () => {
  const [a, b] = ['http://10.0.0.2:2380', 'http://10.0.0.1:2380'];
  assert.equal(memberId([a, b], 't'), memberId([b, a], 't'));
  assert.notEqual(memberId([a, b], 't'), memberId([a, b], 'u'));
  const members = [
    { name: 'a', peerUrls: [a] },
    { name: 'b', peerUrls: [b] },
  ];
  const cluster = identifyCluster({ token: 't', members });
  assert.deepEqual(identifyCluster({ token: 't', members: members.toReversed() }), cluster);
  const [first, second] = cluster.members;
  assert.ok(first !== undefined && second !== undefined && first.id < second.id);
});

test('a member is written with its whole id, and escaped as Go does', () => {
  const member = { id: 2n ** 64n - 1n, name: 'a<b>&"c"', peerUrls: ['http://h:1'] };
  assert.equal(
    memberJson(member),
    '{"id":18446744073709551615,"peerURLs":["http://h:1"],"name":"a\\u003cb\\u003e\\u0026\\"c\\""}',
  );
});

test('clusters that etcd would refuse are refused', () => {
  const url = 'http://h:1';
  for (const members of [
    [],
    [{ name: '', peerUrls: [url] }],
    [{ name: 'a', peerUrls: [] }],
    [
      { name: 'a', peerUrls: [url] },
      { name: 'a', peerUrls: ['http://h:2'] },
    ],
    [
      { name: 'a', peerUrls: [url] },
      { name: 'b', peerUrls: [url] },
    ],
    [{ name: 'a', peerUrls: [url, url] }],
  ]) {
    assert.throws(
      () => identifyCluster({ token: 't', members }),
      (error) => hasCode(error, 'restore.initial-cluster'),
    );
  }
});
