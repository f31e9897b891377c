import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AS_BEFORE, NOTHING_STOPPED, wayBackText } from './way-back.ts';

test('what went back by itself leaves everything as it was', () => {
  const states = new Map([
    ['n1', { state: 'RolledBack', message: AS_BEFORE }],
    ['n2', { state: 'RolledBack', message: NOTHING_STOPPED }],
  ]);
  assert.equal(wayBackText(states), 'everything is as it was before');
  assert.equal(wayBackText(new Map()), 'everything is as it was before');
});

test('a node whose etcd a person did not wait for tells so', () => {
  const left =
    'anna decided not to wait for etcd any more: the old data lies in /var/lib/etcd, but no leader';
  const states = new Map([
    ['n1', { state: 'RolledBack', message: AS_BEFORE }],
    ['n2', { state: 'RolledBack', message: left }],
  ]);
  const text = wayBackText(states);
  assert.match(
    text,
    /^the old data is in its place, but not everything is as it was before: n2: anna decided/,
  );
  assert.doesNotMatch(text, /n1/);
});
