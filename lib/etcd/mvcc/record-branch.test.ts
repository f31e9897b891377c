import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BRANCH_PAGE, ELEMENT_SIZE, PAGE_HEADER_SIZE, writePageHeader, writeU64 } from '../bolt/page.ts';
import { type Branch, readBranch } from '../bolt/plain-pages.ts';
import { RecordBranchPacker, unpackRecordBranch } from './record-branch.ts';
import { encodeRevisionKey } from './revision.ts';

function branchPage({ children, keys }: Branch): Buffer {
  const elements = Buffer.alloc(PAGE_HEADER_SIZE + ELEMENT_SIZE * keys.length);
  writePageHeader(elements, 0, { id: 9, flags: BRANCH_PAGE, count: keys.length, overflow: 0 });
  let position = elements.length;
  for (const [index, key] of keys.entries()) {
    const element = PAGE_HEADER_SIZE + ELEMENT_SIZE * index;
    elements.writeUInt32LE(position - element, element);
    elements.writeUInt32LE(key.length, element + 4);
    writeU64(elements, element + 8, children[index] ?? 0);
    position += key.length;
  }
  return Buffer.concat([elements, ...keys]);
}

test('a branch of revisions comes back as it was, in less room', () => {
  const keys = [
    encodeRevisionKey({ main: 2n, sub: 0n }),
    encodeRevisionKey({ main: 2n, sub: 1n }, true),
    encodeRevisionKey({ main: 2n, sub: 2n ** 32n - 1n }),
    encodeRevisionKey({ main: 300n, sub: 0n }),
    encodeRevisionKey({ main: 2n ** 32n, sub: 0n }, true),
    encodeRevisionKey({ main: 2n ** 53n - 1n, sub: 7n }, true),
  ];
  const branch = { children: [7, 2, 2 ** 32 - 1, 3, 4, 5], keys };
  const page = branchPage(branch);
  assert.deepEqual(readBranch(page, 0), branch);
  const packer = new RecordBranchPacker();
  const size = packer.pack(page, 0);
  assert.ok(size !== undefined && size < page.length / 2);
  assert.deepEqual(unpackRecordBranch(packer.bytes.subarray(0, size), keys.length), branch);
});

test('a branch of other keys, or of children no file can have, is not packed', () => {
  const revision = encodeRevisionKey({ main: 2n, sub: 0n });
  const packer = new RecordBranchPacker();
  assert.equal(
    packer.pack(branchPage({ children: [1, 2], keys: [revision, Buffer.from('x')] }), 0),
    undefined,
  );
  assert.equal(packer.pack(branchPage({ children: [2 ** 32], keys: [revision] }), 0), undefined);
});

test('the largest branch fits', () => {
  const keys = Array.from({ length: 3000 }, (_, n) =>
    encodeRevisionKey({ main: BigInt(n) * 2n ** 40n, sub: 2n ** 32n - 1n }),
  );
  const branch = { children: keys.map((_, n) => (n % 2) * (2 ** 32 - 1)), keys };
  const packer = new RecordBranchPacker();
  const size = packer.pack(branchPage(branch), 0);
  assert.deepEqual(unpackRecordBranch(packer.bytes.subarray(0, size), keys.length), branch);
});
