import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CanonicalRecord } from './canonical-record.ts';
import { encodeKeyValue, encodeTombstone, type KeyValue } from './key-value.ts';

const RECORD: KeyValue = {
  key: Buffer.from('/registry/pods/default/p1'),
  createRevision: 2n,
  modRevision: 7n,
  version: 2n,
  value: Buffer.from('v2'),
  lease: 0n,
};

function read(bytes: Buffer): CanonicalRecord | undefined {
  const record = new CanonicalRecord();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return record.read(view, 0, bytes.length) ? record : undefined;
}

test('every record that the encoder makes is canonical and read back', () => {
  const variants: Partial<KeyValue>[] = [
    {},
    { value: Buffer.alloc(0) },
    { value: Buffer.alloc(70_000, 1) },
    { key: Buffer.alloc(300, 2) },
    { lease: 0x13b0a201131c3b0dn },
    { lease: 1n },
    { lease: -1n },
    { lease: 2n ** 31n },
    { lease: 2n ** 32n + 5n },
    { createRevision: 2n ** 40n, modRevision: 2n ** 53n - 1n, version: 127n },
    { version: 128n },
  ];
  for (const variant of variants) {
    const expected = { ...RECORD, ...variant };
    const bytes = encodeKeyValue(expected);
    const record = read(bytes);
    assert.ok(record);
    assert.deepEqual(bytes.subarray(record.keyStart, record.keyEnd), expected.key);
    assert.deepEqual(bytes.subarray(record.valueStart, record.valueEnd), expected.value);
    assert.equal(BigInt(record.createRevision), expected.createRevision);
    assert.equal(BigInt(record.modRevision), expected.modRevision);
    assert.equal(BigInt(record.version), expected.version);
    const lease = (BigInt(record.leaseHigh) << 32n) | BigInt(record.leaseLow);
    assert.equal(BigInt.asIntN(64, lease), expected.lease);
  }
});

test('a tombstone holds its key alone, a bump record nothing', () => {
  assert.equal(read(encodeTombstone(Buffer.from('k3')))?.keyEnd, 4);
  assert.equal(read(Buffer.alloc(0))?.modRevision, 0);
});

test('any other way to write a record is refused', () => {
  for (const [why, hex] of Object.entries({
    'a zero': '0a016b1000',
    'a long varint': '0a016b10820018022001',
    'a field twice': '0a016b10021002',
    'fields out of order': '0a016b18021002',
    'an unknown field': '0a016b100218022001' + '3801',
    'an unknown wire type': '0a016b' + '13',
    'an empty key': '0a00' + '1002',
    'a cut varint': '0a016b1082',
    'a key beyond the end': '0a056b',
    'a value beyond the end': '0a016b1002180220012a05',
    'a revision of ten bytes': '0a016b10ffffffffffffffffff01',
    'a revision of 2^53': '0a016b108080808080808010',
    'a lease of 65 bits': '0a016b30ffffffffffffffffff02',
    'a lease of eleven bytes': '0a016b308080808080808080808001',
    'a lease of zero': '0a016b3000',
  })) {
    assert.equal(read(Buffer.from(hex, 'hex')), undefined, why);
  }
});
