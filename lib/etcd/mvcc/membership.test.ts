import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAlarm, readMember } from './membership.ts';

test('a member is read, its id beyond what JSON numbers hold included', () => {
  const value = `{"id":13668033151171901709,"peerURLs":["http://a:2380"],"name":"m1","clientURLs":["http://a:2379"]}`;
  const member = readMember(Buffer.from(13668033151171901709n.toString(16)), Buffer.from(value));
  assert.deepEqual(member, {
    id: 'bdae9bbc11dd390d',
    name: 'm1',
    peerURLs: ['http://a:2380'],
    clientURLs: ['http://a:2379'],
    isLearner: false,
  });
});

test('a learner that has not started has no name and no client URLs', () => {
  const value = '{"id":9,"peerURLs":["http://b:2380"],"isLearner":true}';
  const member = readMember(Buffer.from('9'), Buffer.from(value));
  assert.deepEqual(member, {
    id: '9',
    name: '',
    peerURLs: ['http://b:2380'],
    clientURLs: [],
    isLearner: true,
  });
});

test('what is not a member of that id is refused', () => {
  for (const [key, value] of [
    ['9', '{"id":10}'],
    ['9', '{"id":9'],
    ['9', '[{"id":9}]'],
    ['9', 'null'],
    ['9', ''],
    ['G', '{"id":16}'],
    ['', '{"id":0}'],
    ['11111111111111111', '{"id":19676527011956855057}'],
  ] as const) {
    assert.equal(readMember(Buffer.from(key), Buffer.from(value)), undefined, `${key} ${value}`);
  }
});

test('alarms are named, and unknown kinds numbered', () => {
  assert.deepEqual(readAlarm(Buffer.from('088df6f09891c0a8d8131001', 'hex')), {
    memberId: '13b0a201131c3b0d',
    alarm: 'NOSPACE',
  });
  assert.deepEqual(readAlarm(Buffer.from('1002', 'hex')), { memberId: '0', alarm: 'CORRUPT' });
  assert.deepEqual(readAlarm(Buffer.from('08011009', 'hex')), { memberId: '1', alarm: '9' });
  for (const hex of ['', '0801', '08', '0a00', '080110']) {
    assert.equal(readAlarm(Buffer.from(hex, 'hex')), undefined, hex);
  }
});
