import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRangeReply, decodeWatchReply } from './key-value-replies.ts';
import { decodeSnapshotPiece } from './snapshot-piece.ts';
import { decodedIfSound, encodeReply } from './etcd-replies.fixture.ts';

const MAX = 2n ** 63n - 1n;
const kv = {
  key: Buffer.from('/registry/pods/a'),
  create_revision: '7',
  mod_revision: MAX.toString(),
  version: '3',
  value: Buffer.from([0, 255, 10]),
  lease: '-1',
};
const decoded = {
  key: kv.key,
  createRevision: 7n,
  modRevision: 12n,
  version: 3n,
  value: kv.value,
  lease: -1n,
};
const header = { cluster_id: (2n ** 64n - 1n).toString(), member_id: '5', revision: '40', raft_term: '2' };
const decodedHeader = { clusterId: 2n ** 64n - 1n, memberId: 5n, revision: 40n, raftTerm: 2n };

test('a range reply is read as protobuf reads it', () => {
  const bytes = encodeReply('KV', 'Range', {
    header,
    kvs: [{ ...kv, mod_revision: '12' }, {}],
    more: true,
    count: '9',
  });
  assert.deepEqual(decodeRangeReply(bytes), {
    header: decodedHeader,
    kvs: [
      decoded,
      {
        key: Buffer.alloc(0),
        createRevision: 0n,
        modRevision: 0n,
        version: 0n,
        value: Buffer.alloc(0),
        lease: 0n,
      },
    ],
    more: true,
    count: 9n,
  });
});

test('a watch reply is read as protobuf reads it', () => {
  const events = [
    { type: 'PUT', kv: { ...kv, mod_revision: '12' }, prev_kv: { key: kv.key } },
    { type: 'DELETE', kv: { key: kv.key, mod_revision: '13' } },
  ];
  const bytes = encodeReply('Watch', 'Watch', {
    ...{ header, watch_id: '-1', created: true, canceled: true, compact_revision: '8' },
    ...{ cancel_reason: 'because', fragment: true, events },
  });
  const reply = decodeWatchReply(bytes);
  assert.deepEqual(reply.header, decodedHeader);
  assert.equal(reply.watchId, -1n);
  assert.deepEqual([reply.created, reply.canceled, reply.fragment], [true, true, true]);
  assert.equal(reply.compactRevision, 8n);
  assert.equal(reply.cancelReason, 'because');
  assert.deepEqual(
    reply.events.map((event) => [event.type, event.kv.modRevision, event.prevKv?.key]),
    [
      ['put', 12n, kv.key],
      ['delete', 13n, undefined],
    ],
  );
  assert.deepEqual(reply.events[0]?.kv, decoded);
});

test('a piece of a snapshot shares the memory of its message', () => {
  const blob = Buffer.alloc(32 << 10, 'page');
  const bytes = encodeReply('Maintenance', 'Snapshot', {
    remaining_bytes: '10737418240',
    blob,
    version: '3.6.0',
  });
  const piece = decodeSnapshotPiece(bytes);
  assert.deepEqual(piece, { remainingBytes: 10_737_418_240, blob, storageVersion: '3.6.0' });
  assert.equal(piece.blob.buffer, bytes.buffer);
  assert.deepEqual(decodeSnapshotPiece(Buffer.alloc(0)).remainingBytes, 0);
});

test('fields that a later etcd may add are passed over', () => {
  const later = Buffer.from([
    0xa8, 0x06, 1, 0xb2, 0x06, 2, 9, 9, 0xbd, 0x06, 1, 2, 3, 4, 0xc1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8,
  ]);
  const range = encodeReply('KV', 'Range', { header, kvs: [{ ...kv, mod_revision: '12' }] });
  const piece = encodeReply('Maintenance', 'Snapshot', { blob: Buffer.from('x') });
  assert.deepEqual(decodeRangeReply(Buffer.concat([later, range, later])), decodeRangeReply(range));
  assert.deepEqual(decodeSnapshotPiece(Buffer.concat([later, piece, later])), decodeSnapshotPiece(piece));
});

test('bytes that are cut off or wrong are refused wherever that is, and never read past their end', () => {
  const replies: [decode: (bytes: Buffer) => unknown, bytes: Buffer][] = [
    [
      decodeRangeReply,
      encodeReply('KV', 'Range', { header, kvs: [{ ...kv, mod_revision: '12' }], count: '300' }),
    ],
    [
      decodeWatchReply,
      encodeReply('Watch', 'Watch', { header, events: [{ kv: { key: kv.key, mod_revision: '12' } }] }),
    ],
    [
      decodeSnapshotPiece,
      encodeReply('Maintenance', 'Snapshot', { remaining_bytes: '99', blob: Buffer.from('page') }),
    ],
  ];
  for (const [decode, bytes] of replies) {
    const whole = JSON.stringify(decode(bytes), asText);
    for (let end = 0; end < bytes.length; end++) {
      // Cut between two fields it is another message, but never the same one.
      const read = decodedIfSound(() => JSON.stringify(decode(bytes.subarray(0, end)), asText));
      assert.notEqual(read, whole);
    }
    for (const [at, wrong] of [...bytes.keys()].flatMap((at) =>
      [0xff, 0x80, 0x07].map((byte) => [at, byte] as const),
    )) {
      const changed = Buffer.from(bytes);
      changed[at] = wrong;
      decodedIfSound(() => decode(changed));
    }
  }
  assert.throws(() => decodeWatchReply(encodeReply('Watch', 'Watch', { events: [{}] })), /without a key/);
  assert.throws(() => decodeWatchReply(Buffer.from([0x5a, 2, 0x08, 5])), /unknown type, 5/);
});

function asText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
