import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { parseInitialCluster, parsePeerUrls } from './initial-cluster.ts';

const PARSED: readonly (readonly [string, readonly (readonly [string, ...string[]])[]])[] = [
  ['m1=http://10.0.0.1:2380', [['m1', 'http://10.0.0.1:2380']]],
  [
    ' m1=https://a:1 , m2=https://b:1',
    [
      ['m1', 'https://a:1'],
      ['m2', 'https://b:1'],
    ],
  ],
  [
    'm1=http://a:1,m2=http://b:1,m1=http://a:2',
    [
      ['m1', 'http://a:1', 'http://a:2'],
      ['m2', 'http://b:1'],
    ],
  ],
  ['m1=http://[::1]:2380', [['m1', 'http://[::1]:2380']]],
  ['node.example=https://Host.Example:2380', [['node.example', 'https://Host.Example:2380']]],
];

test('members come in the order of their first mention, with their URLs as they are written', () => {
  for (const [text, expected] of PARSED) {
    const members = parseInitialCluster(text).map(({ name, peerUrls }) => [name, ...peerUrls]);
    assert.deepEqual(members, expected, text);
  }
  assert.deepEqual(parsePeerUrls('http://a:1, http://b:2', 'm1'), ['http://a:1', 'http://b:2']);
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['', /"" is not NAME=PEER-URL/],
  ['m1', /"m1" is not NAME=PEER-URL/],
  ['=http://a:1', /is not NAME=PEER-URL/],
  ['m1=http://a:1,', /"" is not NAME=PEER-URL/],
  ['m1=', /the peer URL "" of m1/],
  ['m1=a:1', /is not http\(s\)/],
  ['m1=unix:///run/etcd', /is not http\(s\)/],
  ['m1=http://a', /must be HOST:PORT/],
  ['m1=http://a:1/', /nothing after the port/],
  ['m1=http://a:1?x=1', /nothing after the port/],
  ['m1=http://a:1,m2=http://a:1', /http:\/\/a:1 is given for m1 and for m2/],
  ['m1=http://a:1,m1=http://a:1', /is given for m1 and for m1/],
];

for (const [text, told] of REFUSED) {
  test(`refused, as etcd would: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseInitialCluster(text),
      (error) =>
        hasCode(error, 'restore.initial-cluster') && told.test(error.message) && error.hint !== undefined,
    );
  });
}
