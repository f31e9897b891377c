import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { chunksOf } from '../../../test/harness/byte-stream.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { attachmentOfNode, nodeOfAttachment } from './attachment-of-node.ts';
import { isPlainPath, NODE_FILES_LIMITS, type NodeFile, type NodeFiles } from './node-files.ts';
import { readNodeFiles } from './read-node-files.ts';
import { encodeTarHeader, TAR_BLOCK, type TarHeader } from './tar-header.ts';
import { writeNodeFiles } from './write-node-files.ts';

const AT = new Date('2026-11-22T05:30:00.000Z');
const FACTS = { mode: 0o600, uid: 0, gid: 0, modifiedAt: AT };
const folder = (path: string): NodeFile => ({ ...FACTS, kind: 'folder', path, mode: 0o755 });
const file = (path: string, text = path): NodeFile => ({
  ...{ ...FACTS, kind: 'file', path },
  bytes: Buffer.from(text),
});
const link = (path: string, target: string): NodeFile => ({
  ...FACTS,
  kind: 'link',
  path,
  target,
  mode: 0o777,
});

const deep = `/etc/kubernetes/${'d'.repeat(90)}`;
const FILES: NodeFiles = {
  node: 'cp-1.example',
  collectedAt: AT,
  tool: 'etcdguardian test',
  roots: ['/etc/kubernetes', '/opt/encryption.yaml'],
  manifests: '/etc/kubernetes/manifests',
  files: [
    folder('/etc/kubernetes'),
    file('/etc/kubernetes/pki.crt'),
    file('/etc/kubernetes/empty', ''),
    file('/etc/kubernetes/a block', 'x'.repeat(TAR_BLOCK)),
    { ...file('/etc/kubernetes/größe'), uid: 4_000_000_000, gid: 65534, mode: 0o640 },
    link('/etc/kubernetes/current', 'pki.crt'),
    folder(deep),
    file(`${deep}/${'n'.repeat(60)}`),
    link(`${deep}/up`, `../${'d'.repeat(90)}/${'n'.repeat(60)}`),
    file('/opt/encryption.yaml'),
  ],
  leftOut: [{ path: '/etc/kubernetes/socket', reason: 'it is a socket' }],
};

const archiveOf = (files: NodeFiles): Buffer => Buffer.concat([...writeNodeFiles(files)]);
const read = (archive: Buffer): Promise<NodeFiles> => readNodeFiles(chunksOf(archive, 777));

test("a node's files read back as they were written", async () => {
  const back = await read(archiveOf(FILES));
  const files = back.files.map((one) =>
    one.kind === 'file' ? { ...one, bytes: Buffer.from(one.bytes) } : one,
  );
  assert.deepEqual({ ...back, files }, FILES);
});

test('any tar unpacks them', async () => {
  await using into = await temporaryFolder();
  execFileSync('tar', ['-xf', '-', '-C', into.path, '--no-same-owner'], { input: archiveOf(FILES) });
  const listed = execFileSync('find', ['root', '-printf', '%p %m %l\n'], {
    cwd: into.path,
    encoding: 'utf8',
  });
  for (const one of FILES.files) {
    const target = one.kind === 'link' ? one.target : '';
    assert.ok(listed.includes(`root${one.path} ${one.mode.toString(8)} ${target}\n`), one.path);
  }
});

test('an archive that is cut, or whose headers are changed, is refused', async () => {
  const archive = archiveOf(FILES);
  for (let at = 0; at < archive.length; at += TAR_BLOCK) {
    await assert.rejects(read(archive.subarray(0, at)), { code: 'attachments.damaged' });
  }
  for (let at = 0; at < TAR_BLOCK; at++) {
    // The two bytes after the checksum's digits mean nothing.
    if (at === 154 || at === 155) continue;
    const changed = Buffer.from(archive);
    changed[at] = (changed[at] ?? 0) ^ 0x41;
    await assert.rejects(read(changed), { code: 'attachments.damaged' }, `byte ${at}`);
  }
});

/** An archive whose index is fine and whose entries are these. */
function crafted(entries: readonly (Partial<TarHeader> & { name: string; bytes?: Buffer })[]): Buffer {
  const [...whole] = writeNodeFiles({ ...FILES, files: [], leftOut: [] });
  const blocks = whole.slice(0, -1);
  for (const { bytes = Buffer.alloc(0), ...header } of entries) {
    const rest = (TAR_BLOCK - (bytes.length % TAR_BLOCK)) % TAR_BLOCK;
    blocks.push(encodeTarHeader({ ...PLAIN, size: bytes.length, ...header }), bytes, Buffer.alloc(rest));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * TAR_BLOCK)]);
}

const PLAIN: Omit<TarHeader, 'name'> = {
  type: '0',
  mode: 0o600,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  link: '',
};
const ROOT = { name: 'root/etc/kubernetes/', type: '5' } as const;
const IN = 'root/etc/kubernetes/';

const HOSTILE: readonly (readonly [string, Parameters<typeof crafted>[0], string?])[] = [
  ['a path with ..', [ROOT, { name: `${IN}../../etc/passwd` }]],
  ['a path with .', [ROOT, { name: `${IN}./x` }]],
  ['an empty part', [ROOT, { name: `${IN}/x` }]],
  ['an absolute path', [ROOT, { name: '/etc/passwd' }]],
  ['a path that is no file of a node', [ROOT, { name: 'elsewhere/x' }]],
  ['a file out of what was taken along', [ROOT, { name: 'root/etc/passwd' }]],
  ['a file below a folder that never came', [ROOT, { name: `${IN}pki/ca.key` }]],
  ['a file below a link', [ROOT, { name: `${IN}x`, type: '2', link: '.' }, { name: `${IN}x/y` }]],
  ['a file below a file', [ROOT, { name: `${IN}x` }, { name: `${IN}x/y` }]],
  ['one path twice', [ROOT, { name: `${IN}x` }, { name: `${IN}x` }]],
  ['a link that is absolute', [ROOT, { name: `${IN}x`, type: '2', link: '/etc/passwd' }]],
  ['a link that leads out', [ROOT, { name: `${IN}x`, type: '2', link: '../passwd' }]],
  ['a link that leads above everything', [ROOT, { name: `${IN}x`, type: '2', link: '../../../..' }]],
  ['a link that leads nowhere', [ROOT, { name: `${IN}x`, type: '2', link: 'y' }]],
  ['an empty link', [ROOT, { name: `${IN}x`, type: '2' }]],
  ['a set-id program', [ROOT, { name: `${IN}x`, mode: 0o4755 }]],
  ['a huge file', [ROOT, { name: `${IN}x`, bytes: Buffer.alloc(NODE_FILES_LIMITS.fileBytes + 1) }]],
  ['a file that is said to be huge', [ROOT, { name: `${IN}x`, size: 2 ** 33 - 1 }], 'attachments.damaged'],
  [
    'too many files',
    [ROOT, ...Array.from({ length: NODE_FILES_LIMITS.entries }, (_, at) => ({ name: `${IN}${at}` }))],
  ],
  ['a folder with content', [{ ...ROOT, bytes: Buffer.from('x') }], 'attachments.damaged'],
  [
    'a path that an extended header changes to ..',
    [ROOT, { name: 'more', type: 'x', bytes: Buffer.from('25 path=root/etc/../shad\n') }, { name: 'path' }],
  ],
  [
    'a size that an extended header changes',
    [ROOT, { name: 'more', type: 'x', bytes: Buffer.from('11 size=99\n') }, { name: `${IN}x` }],
    'attachments.damaged',
  ],
  [
    'an extended header whose length is wrong',
    [ROOT, { name: 'more', type: 'x', bytes: Buffer.from('99 path=root/x\n') }, { name: 'path' }],
    'attachments.damaged',
  ],
];

for (const [what, entries, code = 'attachments.hostile'] of HOSTILE)
  test(`an archive with ${what} is refused`, async () => {
    await assert.rejects(read(crafted(entries)), { code });
  });

test('types that no file of a node has are refused', async () => {
  const device = crafted([ROOT, { name: `${IN}x` }]);
  for (const type of ['1', '3', '4', '6', 'g', 'L', '\0']) {
    const archive = Buffer.from(device);
    const header = archive.length - 3 * TAR_BLOCK;
    // The checksum changes with the type.
    const sum = parseInt(archive.toString('latin1', header + 148, header + 154), 8);
    archive.write(type, header + 156, 'latin1');
    const changed = sum - '0'.charCodeAt(0) + type.charCodeAt(0);
    archive.write(changed.toString(8).padStart(6, '0'), header + 148, 'latin1');
    await assert.rejects(read(archive), { code: 'attachments.damaged' }, JSON.stringify(type));
  }
});

test('roots that are no plain paths, or lie in each other, are refused', async () => {
  for (const roots of [['/'], ['etc'], ['/etc/../x'], ['/etc/'], []])
    await assert.rejects(read(archiveOf({ ...FILES, roots, files: [] })), { code: 'attachments.damaged' });
  const nested = archiveOf({ ...FILES, roots: ['/etc', '/etc/kubernetes'], files: [] });
  await assert.rejects(read(nested), { code: 'attachments.hostile' });
});

test('an endless archive is given up, and a newer format is named', async () => {
  async function* endless(): AsyncGenerator<Uint8Array, void> {
    for (;;) yield await Promise.resolve(Buffer.alloc(1 << 20));
  }
  await assert.rejects(readNodeFiles(endless()), { code: 'attachments.hostile' });
  const archive = archiveOf({ ...FILES, files: [] });
  const version = archive.indexOf('"formatVersion":1');
  archive.write('9', version + '"formatVersion":'.length);
  await assert.rejects(read(archive), { code: 'attachments.format' });
});

test('paths name one thing in one way', () => {
  for (const path of ['/a', '/a/b.c', '/a/..b', '/a b/ü']) assert.equal(isPlainPath(path), true, path);
  const long = `/${'x'.repeat(256)}`;
  for (const path of ['', '/', 'a', '/a/', '/a//b', '/./a', '/a/..', '/a\0b', long, '/\ud800'])
    assert.equal(isPlainPath(path), false, path);
});

test("an attachment's name tells the node", () => {
  const nodeIn = (node: string): string | undefined =>
    nodeOfAttachment({
      name: `clusters/c/timelines/000001/chains/x/attachments/${attachmentOfNode(node)}.zst.sealed`,
    });
  assert.equal(nodeIn('cp-1.example'), 'cp-1.example');
  assert.match(nodeIn('strange name/../x') ?? '', /^sha256-[0-9a-f]{64}$/);
  assert.match(nodeIn('n'.repeat(253)) ?? '', /^sha256-[0-9a-f]{64}$/);
  assert.equal(nodeOfAttachment({ name: 'clusters/c/attachments/pki.tar.zst.sealed' }), undefined);
});
