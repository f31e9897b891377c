import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeTombstone } from '../mvcc/key-value.ts';
import { decodedIfSound, encodeReply } from './etcd-replies.fixture.ts';
import { decodeWatchReply } from './key-value-replies.ts';
import type { PackedEvents } from './packed-events.ts';
import { PackedWatchDecoder } from './packed-watch-reply.ts';

const header = { cluster_id: (2n ** 64n - 1n).toString(), member_id: '5', revision: '40', raft_term: '2' };
const put = (main: number, lease = '0', size = 3): object => ({
  type: 'PUT',
  kv: {
    ...{ key: Buffer.from(`/registry/pods/${main}`), create_revision: '2', mod_revision: String(main) },
    ...{ version: '3', value: Buffer.alloc(size, 7), lease },
  },
});
const deletion = (main: number): object => ({
  type: 'DELETE',
  kv: { key: Buffer.from(`/registry/pods/${main}`), mod_revision: String(main) },
  prev_kv: { key: Buffer.from('before') },
});

test('packed events hold what bucket `key` holds, byte for byte', () => {
  const bytes = encode({ header, events: [put(12), deletion(13), put(14, '-1', 40_000)] });
  const { events } = new PackedWatchDecoder().decode(bytes);
  const general = decodeWatchReply(bytes).events;
  assert.deepEqual(valuesOf(events), [
    general[0]?.encoded,
    encodeTombstone(Buffer.from('/registry/pods/13')),
    general[2]?.encoded,
  ]);
  assert.deepEqual([...events.revisions.subarray(0, 3)], [12, 13, 14]);
  assert.deepEqual([...events.tombstones.subarray(0, 3)], [0, 1, 0]);
  assert.deepEqual([...events.leaseHighs.subarray(0, 3)], [0, 0, 0xffff_ffff]);
  assert.deepEqual([...events.leaseLows.subarray(0, 3)], [0, 0, 0xffff_ffff]);
});

test('the rest of a packed reply is read as the general decoder reads it, whatever came before', () => {
  const decoder = new PackedWatchDecoder();
  const many = Array.from({ length: 300 }, (_, at) => put(at + 1));
  assert.equal(decoder.decode(encode({ header, fragment: true, events: many })).events.count, 300);
  const replies = [
    { header, watch_id: '-1', created: true },
    { header, canceled: true, compact_revision: '8', cancel_reason: 'because' },
    { header, fragment: true, events: [put(2)] },
    {},
  ];
  for (const reply of replies) {
    const bytes = encode(reply);
    const { events, ...packed } = decoder.decode(bytes);
    const { events: generalEvents, ...general } = decodeWatchReply(bytes);
    assert.deepEqual(packed, general);
    assert.equal(events.count, generalEvents.length);
  }
});

test('bytes that are no reply of etcd’s are refused, and never read past their end', () => {
  const bytes = encode({ header, events: [put(12), deletion(13)] });
  const decode = (changed: Buffer): string[] => {
    const { events } = new PackedWatchDecoder().decode(changed);
    return valuesOf(events).map((value) => value.toString('hex'));
  };
  const whole = decode(bytes);
  for (let end = 0; end < bytes.length; end++) {
    assert.notDeepEqual(
      decodedIfSound(() => decode(bytes.subarray(0, end))),
      whole,
    );
  }
  for (const [at, wrong] of [...bytes.keys()].flatMap((at) =>
    [0xff, 0x80, 7].map((byte) => [at, byte] as const),
  )) {
    const changed = Buffer.from(bytes);
    changed[at] = wrong;
    decodedIfSound(() => decode(changed));
  }
  assert.throws(() => decode(encode({ events: [{}] })), /without a key/);
  assert.throws(() => decode(encode({ events: [{ kv: { key: Buffer.from('a') } }] })), /revision 0/);
  assert.throws(() => decode(Buffer.from([0x5a, 2, 0x08, 5])), /unknown type, 5/);
  const backwards = Buffer.from([0x5a, 9, 0x08, 1, 0x12, 5, 0x18, 9, 0x0a, 1, 0x61]);
  assert.throws(() => decode(backwards), /doesn't begin with its key/);
});

function valuesOf({ bytes, count, starts, ends }: PackedEvents): Buffer[] {
  return Array.from({ length: count }, (_, at) => bytes.subarray(starts[at], ends[at]));
}

function encode(reply: object): Buffer {
  return encodeReply('Watch', 'Watch', reply);
}
