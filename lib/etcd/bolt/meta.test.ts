import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseMeta, findMetas, fnv1a64, metaFault, readMeta, writeMetaPage, type Meta } from './meta.ts';

// Meta page 0 of a file that etcd 3.5.30 wrote.
const META_OF_ETCD = Buffer.from(
  '00000000000000000400000000000000' +
    'edda0ced020000000010000000000000' +
    '02000000000000000000000000000000' +
    'ffffffffffffffff05000000000000000c00000000000000' +
    '8854756c6687453b',
  'hex',
);

const META: Meta = { pageSize: 4096, rootPage: 2, freelistPage: undefined, pageCount: 5, txid: 12n };

test('the FNV-1a of its authors', () => {
  assert.equal(fnv1a64(Buffer.from('a'), 0, 1), 0xaf63dc4c8601ec8cn);
  assert.equal(fnv1a64(Buffer.from('foobar'), 0, 6), 0x85944171f73967e8n);
});

test('a meta page of etcd is read, and written again byte for byte', () => {
  assert.deepEqual(readMeta(META_OF_ETCD, 0), META);
  const page = Buffer.alloc(80);
  writeMetaPage(page, 0, 0, META);
  assert.deepEqual(page, META_OF_ETCD);
  writeMetaPage(page, 0, 1, { ...META, txid: 11n });
  assert.equal(page.toString('hex', 72), '6f5b00b9a5f82014');
});

test('no flipped bit of magic, version, body or checksum is accepted', () => {
  for (let bit = 16 * 8; bit < META_OF_ETCD.length * 8; bit++) {
    const bytes = Buffer.from(META_OF_ETCD);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    assert.equal(readMeta(bytes, 0), undefined, `bit ${bit}`);
  }
});

test('the meta of the higher transaction counts, and the other one when it is broken', () => {
  const older = { ...META, txid: 11n };
  assert.equal(chooseMeta([META, older]), META);
  assert.equal(chooseMeta([older, META]), META);
  assert.equal(chooseMeta([undefined, older]), older);
  assert.equal(chooseMeta([META, undefined]), META);
  assert.equal(chooseMeta([undefined, undefined]), undefined);
});

test('metas are found at every page size, also by the second alone', () => {
  for (let pageSize = 1024; pageSize <= 65536; pageSize *= 2) {
    const first = { ...META, pageSize };
    const second = { ...first, txid: 11n };
    const head = Buffer.alloc(2 * pageSize);
    writeMetaPage(head, 0, 0, first);
    writeMetaPage(head, pageSize, 1, second);
    assert.deepEqual(findMetas(head), { pageSize, metas: [first, second] });
    head.fill(0, 0, pageSize);
    assert.deepEqual(findMetas(head), { pageSize, metas: [undefined, second] });
  }
});

test('a big-endian file is named as such, and anything else as nothing', () => {
  const head = Buffer.alloc(8192);
  assert.equal(findMetas(head), undefined);
  assert.equal(findMetas(Buffer.alloc(0)), undefined);
  head.writeUInt32BE(0xed0cdaed, 16);
  head.writeUInt32BE(2, 20);
  assert.equal(findMetas(head), 'big-endian');
});

test('page ids beyond the file are a fault', () => {
  assert.equal(metaFault(META), undefined);
  assert.match(metaFault({ ...META, rootPage: 5 }) ?? '', /root page 5/);
  assert.match(metaFault({ ...META, rootPage: 1 }) ?? '', /root page 1/);
  assert.match(metaFault({ ...META, freelistPage: 9 }) ?? '', /freelist page 9/);
  assert.match(metaFault({ ...META, pageCount: 2 ** 60 }) ?? '', /pages/);
});
