import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ELEMENT_SIZE, LEAF_PAGE, PAGE_HEADER_SIZE, writePageHeader } from '../bolt/page.ts';
import { ByteWindow } from '../byte-window.ts';
import { crc32c } from '../crc32c.ts';
import { LeaseIds } from './lease-ids.ts';
import { LeaseLeafPacker, unpackLeaseLeaf } from './lease-leaf.ts';
import { encodeLease, encodeLeaseKey } from './lease.ts';

type Entry = readonly [key: Buffer, value: Buffer];

function leafPage(entries: readonly Entry[]): ByteWindow {
  const elements = Buffer.alloc(PAGE_HEADER_SIZE + ELEMENT_SIZE * entries.length);
  writePageHeader(elements, 0, { id: 9, flags: LEAF_PAGE, count: entries.length, overflow: 0 });
  let position = elements.length;
  for (const [index, [key, value]] of entries.entries()) {
    const element = PAGE_HEADER_SIZE + ELEMENT_SIZE * index;
    elements.writeUInt32LE(position - element, element + 4);
    elements.writeUInt32LE(key.length, element + 8);
    elements.writeUInt32LE(value.length, element + 12);
    position += key.length + value.length;
  }
  return new ByteWindow(Buffer.concat([elements, ...entries.flat()]));
}

function leaseEntry(id: bigint, remainingSeconds = 0n): Entry {
  return [encodeLeaseKey(id), encodeLease({ id, ttlSeconds: 3600n, remainingSeconds })];
}

const IDS = [1n, 2n ** 32n - 1n, 2n ** 32n, 0x13b0a201131c3b0dn, 2n ** 63n - 1n, -5n];

test('a page of leases is packed to its ids and checksum', () => {
  const entries = IDS.map((id, index) => leaseEntry(id, BigInt(index)));
  const packer = new LeaseLeafPacker();
  const size = packer.pack(leafPage(entries), 0);
  assert.ok(size !== undefined);
  const leaf = unpackLeaseLeaf(packer.bytes.subarray(0, size));
  const content = Buffer.concat(entries.flat());
  assert.deepEqual([leaf.checksum, leaf.size], [crc32c(content), content.length]);
  assert.deepEqual(leaf.ids, Buffer.concat(IDS.map(encodeLeaseKey)));
});

test('a page with anything else on it is not packed', () => {
  const [key, value] = leaseEntry(77n);
  const others: Record<string, Entry> = {
    'another id': [encodeLeaseKey(78n), value],
    'a longer key': [Buffer.concat([key, Buffer.alloc(1)]), value],
    'no value': [key, Buffer.alloc(0)],
    'a negative TTL': [key, encodeLease({ id: 77n, ttlSeconds: -1n, remainingSeconds: 0n })],
    'bytes behind it': [key, Buffer.concat([value, Buffer.from([0])])],
    'a cut number': [key, Buffer.from('088000', 'hex')],
  };
  for (const [what, entry] of Object.entries(others)) {
    assert.equal(new LeaseLeafPacker().pack(leafPage([leaseEntry(1n), entry]), 0), undefined, what);
  }
});

test('ids are found among any number of them', () => {
  const ids = new LeaseIds();
  assert.equal(ids.has(0, 1), false);
  const numbers = Array.from({ length: 40_000 }, (_, n) => BigInt(n) * 2n ** 44n + 7n);
  for (let at = 0; at < numbers.length; at += 1000) {
    ids.add(Buffer.concat(numbers.slice(at, at + 1000).map(encodeLeaseKey)));
  }
  assert.equal(ids.count, numbers.length);
  const has = (id: bigint): boolean => ids.has(Number(id >> 32n), Number(id & 0xffff_ffffn));
  for (const id of numbers.filter((_, n) => n % 997 === 0)) {
    assert.ok(has(id));
    assert.ok(!has(id + 1n));
  }
});
