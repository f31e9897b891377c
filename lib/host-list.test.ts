import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHostList } from './host-list.ts';

const list = parseHostList([
  'minio.example.com',
  'store.local:9000',
  '*.s3.example.com',
  '10.1.0.0/16',
  '[fd00::1]:443',
  'fd00::2',
  '192.0.2.1:9000',
]);

const ALLOWED: readonly (readonly [host: string, port: number, allowed: boolean])[] = [
  ['minio.example.com', 443, true],
  ['MinIO.Example.com.', 9000, true],
  ['minio.example.com.evil.org', 443, false],
  ['evilminio.example.com', 443, false],
  ['store.local', 9000, true],
  ['store.local', 22, false],
  ['a.s3.example.com', 443, true],
  ['a.b.s3.example.com', 443, true],
  ['s3.example.com', 443, false],
  ['as3.example.com', 443, false],
  ['10.1.2.3', 80, true],
  ['10.2.0.1', 80, false],
  ['[fd00::1]', 443, true],
  ['fd00::1', 80, false],
  ['[fd00::2]', 80, true],
  ['192.0.2.1', 9000, true],
  ['192.0.2.1', 80, false],
  ['', 443, false],
];

for (const [host, port, allowed] of ALLOWED) {
  test(`"${host}" on port ${port} is ${allowed ? 'allowed' : 'not'}`, () => {
    assert.equal(list.allows(host, port), allowed);
  });
}

test('only full names and addresses are vouched for', () => {
  assert.equal(list.names('minio.example.com', 443), true);
  assert.equal(list.names('a.s3.example.com', 443), false);
  assert.equal(list.names('10.1.2.3', 443), false);
});

test('a star is for every name, and for no address', () => {
  const all = parseHostList(['*']);
  assert.equal(all.allows('anything.example', 443), true);
  assert.equal(all.allows('127.0.0.1', 443), false);
  assert.equal(all.allows('::1', 443), false);
});

test('networks hold addresses, also IPv4 ones written as IPv6', () => {
  assert.equal(list.holds('10.1.2.3'), true);
  assert.equal(list.holds('::ffff:10.1.2.3'), true);
  assert.equal(list.holds('10.2.2.3'), false);
  assert.equal(list.holds('minio.example.com'), false);
});

test('an empty list allows nothing', () => {
  assert.equal(parseHostList([]).allows('example.com', 443), false);
});

for (const entry of [
  '',
  'https://a',
  'a b',
  '10.0.0.0/33',
  '10.0.0/8',
  'a/8',
  'a*b',
  '*.',
  'a:b',
  '2130706433',
  '127.1',
  '0x7f.0x1',
  '10.0.0.0/8/1',
])
  test(`the entry "${entry}" is refused`, () => {
    assert.throws(() => parseHostList([entry]), { code: 'settings.hosts' });
  });
