import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Entry, ForgedHistory, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { findMetas, writeMetaPage, type Meta } from '../bolt/meta.ts';
import {
  BRANCH_PAGE,
  BUCKET_ELEMENT,
  branchChild,
  elementOffset,
  ELEMENT_SIZE,
  FREELIST_PAGE,
  LEAF_PAGE,
  PAGE_HEADER_SIZE,
  readPageHeader,
  writePageHeader,
  writeU64,
} from '../bolt/page.ts';
import { leafElements } from '../bolt/plain-pages.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';

const PAGE_SIZE = 1024;

/** A file that is tampered with page by page. */
class Tampered {
  file: Buffer;
  readonly meta: Meta;

  constructor(file: Buffer) {
    this.file = Buffer.from(file);
    const found = findMetas(file);
    assert.ok(found !== undefined && found !== 'big-endian' && found.metas[0] !== undefined);
    this.meta = found.metas[0];
  }

  /** Offset of a page. */
  at(page: number): number {
    return page * PAGE_SIZE;
  }

  /** The root page of bucket `key`. */
  get keyRoot(): number {
    for (const { key, value } of leafElements(this.file, this.at(this.meta.rootPage))) {
      if (key.toString() === 'key') return value.readUInt32LE(0);
    }
    throw new Error('no bucket key');
  }

  child(page: number, index: number): number {
    return branchChild(this.file, elementOffset(this.at(page), index));
  }

  setChild(page: number, index: number, child: number): void {
    writeU64(this.file, elementOffset(this.at(page), index) + 8, child);
  }

  setHeader(page: number, changes: { id?: number; flags?: number; count?: number; overflow?: number }): void {
    writePageHeader(this.file, this.at(page), { ...readPageHeader(this.file, this.at(page)), ...changes });
  }

  setMeta(changes: Partial<Meta>): void {
    for (const page of [0, 1] as const) {
      writeMetaPage(this.file, this.at(page), page, { ...this.meta, txid: 9n - BigInt(page), ...changes });
    }
  }

  /** Adds a page at the end. */
  append(page: Buffer): number {
    const number = this.file.length / PAGE_SIZE;
    this.file = Buffer.concat([this.file, page, Buffer.alloc(PAGE_SIZE - page.length)]);
    return number;
  }

  verdict(): SnapshotVerdict {
    const verifier = createSnapshotVerifier({ trailer: 'optional' });
    verifier.write(this.file);
    return verifier.finish();
  }

  codes(): string[] {
    return [...new Set(this.verdict().problems.map(({ code }) => code))];
  }
}

/** A file whose bucket `key` has three levels. */
const SOUND = await forgeSnapshot({ entries: manyEntries(900), pageSize: PAGE_SIZE, trailer: false });

function manyEntries(count: number): Entry[] {
  const history = new ForgedHistory();
  for (let n = 0; n < count; n++) history.put(`key-${n % 300}`, { value: `${n}` });
  history.put('large', { value: Buffer.alloc(3000, 1) });
  return history.entries;
}

function branchPage(id: number, child: number, key: Buffer): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  writePageHeader(page, 0, { id, flags: BRANCH_PAGE, count: 1, overflow: 0 });
  page.writeUInt32LE(ELEMENT_SIZE, PAGE_HEADER_SIZE);
  page.writeUInt32LE(key.length, PAGE_HEADER_SIZE + 4);
  writeU64(page, PAGE_HEADER_SIZE + 8, child);
  key.copy(page, PAGE_HEADER_SIZE + ELEMENT_SIZE);
  return page;
}

test('the file that is tampered with below is sound, and deep', () => {
  const sound = new Tampered(SOUND);
  assert.deepEqual(sound.codes(), []);
  const top = readPageHeader(sound.file, sound.at(sound.keyRoot));
  const below = readPageHeader(sound.file, sound.at(sound.child(sound.keyRoot, 0)));
  assert.deepEqual([top.flags, below.flags], [BRANCH_PAGE, BRANCH_PAGE]);
});

const tamperings: Record<string, readonly [codes: string[], tamper: (file: Tampered) => void]> = {
  'a branch that leads to itself': [
    ['bolt.page-twice'],
    (file) => {
      file.setChild(file.keyRoot, 1, file.keyRoot);
    },
  ],
  'two branches with one child': [
    ['bolt.page-twice'],
    (file) => {
      file.setChild(file.keyRoot, 1, file.child(file.keyRoot, 0));
    },
  ],
  'children in another order': [
    ['bolt.page-bounds'],
    (file) => {
      const [first, second] = [file.child(file.keyRoot, 0), file.child(file.keyRoot, 1)];
      file.setChild(file.keyRoot, 0, second);
      file.setChild(file.keyRoot, 1, first);
    },
  ],
  'a child that is a meta page': [
    ['bolt.page-range'],
    (file) => {
      file.setChild(file.keyRoot, 0, 1);
    },
  ],
  'a child beyond the file': [
    ['bolt.page-range'],
    (file) => {
      file.setChild(file.keyRoot, 0, file.meta.pageCount);
    },
  ],
  'a child beyond any file': [
    ['bolt.page-range'],
    (file) => {
      file.setChild(file.keyRoot, 0, 2 ** 52);
    },
  ],
  'a live page under another number': [
    ['bolt.page-id'],
    (file) => {
      file.setHeader(file.child(file.keyRoot, 0), { id: 3 });
    },
  ],
  'a live page of no kind': [
    ['bolt.page-kind'],
    (file) => {
      file.setHeader(file.child(file.keyRoot, 0), { flags: 0x77 });
    },
  ],
  'a live page that is a freelist': [
    ['bolt.page-kind'],
    (file) => {
      file.setHeader(file.child(file.keyRoot, 0), { flags: FREELIST_PAGE });
    },
  ],
  'the list of buckets in place of a branch': [
    ['bolt.page-twice'],
    (file) => {
      file.setChild(file.keyRoot, 0, file.meta.rootPage);
    },
  ],
  'more elements than a page holds': [
    ['bolt.page-elements'],
    (file) => {
      file.setHeader(file.child(file.keyRoot, 0), { count: 0xffff });
    },
  ],
  'an endless overflow': [
    ['bolt.overflow'],
    (file) => {
      file.setHeader(file.child(file.keyRoot, 0), { overflow: 0xffff_ffff });
    },
  ],
  'an overflow over the pages behind': [
    ['bolt.page-twice'],
    (file) => {
      file.setHeader(file.child(file.child(file.keyRoot, 0), 0), { overflow: 1 });
    },
  ],
  'a branch without children': [
    ['bolt.page-elements'],
    (file) => {
      file.setHeader(file.keyRoot, { count: 0 });
    },
  ],
  'a root of the file that is a branch of bucket key': [
    ['bolt.bucket'],
    (file) => {
      file.setMeta({ rootPage: file.keyRoot });
    },
  ],
  'metas that claim more pages than there are': [
    ['file.truncated'],
    (file) => {
      file.setMeta({ pageCount: file.meta.pageCount + 5 });
    },
  ],
  'metas that claim the earth': [
    ['file.truncated'],
    (file) => {
      file.setMeta({ pageCount: 2 ** 42 });
    },
  ],
  'metas that claim fewer pages than there are': [
    ['bolt.bucket'],
    (file) => {
      file.setMeta({ pageCount: file.meta.rootPage, rootPage: 2 });
    },
  ],
  'a root page that is none': [
    ['bolt.meta'],
    (file) => {
      file.setMeta({ rootPage: 2 ** 50 });
    },
  ],
  'one meta that is damaged': [
    ['bolt.meta'],
    (file) => {
      file.file.writeUInt8(7, file.at(1) + 40);
    },
  ],
  'both metas damaged': [
    ['bolt.no-meta'],
    (file) => {
      file.file.fill(7, 0, 2 * PAGE_SIZE);
    },
  ],
  'a meta under another number': [
    ['bolt.meta'],
    (file) => {
      file.setHeader(1, { id: 5 });
    },
  ],
  'a file of a big-endian host': [
    ['bolt.big-endian'],
    (file) => {
      for (const page of [0, 1]) file.file.subarray(file.at(page) + 16, file.at(page) + 24).swap32();
    },
  ],
};

for (const [what, [expected, tamper]] of Object.entries(tamperings)) {
  test(`refused: ${what}`, () => {
    const file = new Tampered(SOUND);
    tamper(file);
    const codes = file.codes();
    for (const code of expected) assert.ok(codes.includes(code), `${code} among ${codes.join(', ')}`);
  });
}

test('a tree deeper than any is refused, not followed', () => {
  const file = new Tampered(SOUND);
  const key = Buffer.from('00000000000000015f0000000000000000', 'hex');
  let page = file.keyRoot;
  for (let level = 0; level < 200; level++)
    page = file.append(branchPage(file.file.length / PAGE_SIZE, page, key));
  for (const element of leafElements(file.file, file.at(file.meta.rootPage))) {
    if (element.key.toString() === 'key') writeU64(element.value, 0, page);
  }
  file.setMeta({ pageCount: file.file.length / PAGE_SIZE });
  assert.ok(file.codes().includes('bolt.depth'));
});

test('what free pages hold does not matter', () => {
  const file = new Tampered(SOUND);
  const root = file.at(file.meta.rootPage);
  const rootPage = Buffer.from(file.file.subarray(root, root + PAGE_SIZE));
  const branch = Buffer.from(file.file.subarray(file.at(file.keyRoot), file.at(file.keyRoot + 1)));
  const garbage = [rootPage, branch, branch, Buffer.alloc(PAGE_SIZE, 0xff), Buffer.alloc(PAGE_SIZE)];
  const headers = [
    {},
    {},
    { overflow: 3 },
    { flags: LEAF_PAGE, overflow: 0xfff },
    { flags: LEAF_PAGE, overflow: 2 },
  ];
  for (const [index, page] of garbage.entries()) {
    const number = file.append(page);
    file.setHeader(number, { id: number, ...headers[index] });
  }
  file.append(Buffer.alloc(PAGE_SIZE));
  file.append(Buffer.alloc(PAGE_SIZE));
  file.setMeta({ pageCount: file.file.length / PAGE_SIZE });
  const verdict = file.verdict();
  assert.deepEqual(verdict.problems, []);
  assert.equal(verdict.freePages, 7);
});

test('a bucket in a bucket is refused', async () => {
  const users: Entry[] = Array.from({ length: 60 }, (_, n) => {
    const name = `user-${String(n).padStart(4, '0')}-${'x'.repeat(10)}`;
    return [Buffer.from(name), Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)])];
  });
  const sound = await forgeSnapshot({
    entries: [],
    buckets: { authUsers: users },
    pageSize: PAGE_SIZE,
    trailer: false,
  });
  const file = new Tampered(sound);
  assert.deepEqual(file.codes(), []);
  const page = Math.floor(sound.indexOf('user-0000') / PAGE_SIZE);
  assert.equal(readPageHeader(sound, file.at(page)).flags, LEAF_PAGE);
  file.file.writeUInt32LE(BUCKET_ELEMENT, elementOffset(file.at(page), 0));
  assert.deepEqual(file.codes(), ['bolt.bucket']);
});

test('a list of buckets that takes several pages is read', async () => {
  const filler = (bucket: string): Entry[] => [[Buffer.from(`${bucket}-0123456789`), Buffer.alloc(180, 1)]];
  const names = ['auth', 'cluster', 'members_removed', 'unknown'];
  const buckets = Object.fromEntries(names.map((name) => [name, filler(name)]));
  buckets.members_removed = [[Buffer.from('abc'), Buffer.alloc(150, 1)]];
  const snapshot = await forgeSnapshot({ entries: [], buckets, pageSize: PAGE_SIZE, trailer: false });
  const file = new Tampered(snapshot);
  const verdict = file.verdict();
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual(
    verdict.warnings.map(({ code }) => code),
    ['bolt.unknown-bucket'],
  );
  assert.ok(file.meta.pageCount > 3);
});
