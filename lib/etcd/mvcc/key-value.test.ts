import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { decodeKeyValue, encodeKeyValue, encodeTombstone, KeyValueFields } from './key-value.ts';

test('a record is the bytes that etcd writes', () => {
  const hex = '0a192f72656769737472792f706f64732f64656661756c742f7031100218072002' + '2a027632';
  const record = {
    key: Buffer.from('/registry/pods/default/p1'),
    createRevision: 2n,
    modRevision: 7n,
    version: 2n,
    value: Buffer.from('v2'),
    lease: 0n,
  };
  assert.equal(encodeKeyValue(record).toString('hex'), hex);
  assert.deepEqual(decodeKeyValue(Buffer.from(hex, 'hex')), record);
});

test('a lease is all 64 bits of it', () => {
  const record = {
    key: Buffer.from('k'),
    createRevision: 2n,
    modRevision: 2n,
    version: 1n,
    value: Buffer.alloc(0),
    lease: 0x13b0a201131c3b0dn,
  };
  const bytes = encodeKeyValue(record);
  assert.ok(bytes.toString('hex').endsWith('308df6f09891c0a8d813'));
  assert.deepEqual(decodeKeyValue(bytes), record);
  const negative = { ...record, lease: -5n };
  assert.deepEqual(decodeKeyValue(encodeKeyValue(negative)), negative);
});

test('a tombstone holds its key alone, a bump record nothing', () => {
  assert.equal(encodeTombstone(Buffer.from('k3')).toString('hex'), '0a026b33');
  const empty = decodeKeyValue(Buffer.alloc(0));
  assert.equal(empty.key.length, 0);
  assert.equal(encodeKeyValue(empty).length, 0);
});

test('fields in any order, twice, or unknown are read as protobuf reads them', () => {
  const fields = new KeyValueFields();
  const bytes = Buffer.from(
    'ff' + '2a0161' + '2a0162' + '3a03ffffff' + '4107060504030201004d00000000' + '0a016b' + 'ff',
    'hex',
  );
  assert.ok(fields.read(bytes, 1, bytes.length - 1));
  assert.equal(bytes.toString('latin1', fields.keyStart, fields.keyEnd), 'k');
  assert.equal(bytes.toString('latin1', fields.valueStart, fields.valueEnd), 'b');
});

test('malformed records are refused', () => {
  for (const hex of [
    '0a', // length missing
    '0a05616263', // longer than the record
    '0affffffffffffffffff01', // far longer than the record
    '10ffffffffffffffffffff01', // 11 bytes of varint
    '10ffffffffffffffffff02', // 65 bits
    '1080', // cut varint
    '0b', // group
    '07', // wire type 7
    '0001', // field 0
    '3a0561', // unknown field cut off
  ]) {
    assert.throws(
      () => decodeKeyValue(Buffer.from(hex, 'hex')),
      (error) => hasCode(error, 'mvcc.corrupt'),
      hex,
    );
  }
});
