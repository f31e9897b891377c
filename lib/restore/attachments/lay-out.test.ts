import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import type { NodeFile } from '../../repository/node-files/node-files.ts';
import { type LaidOut, layOut, type LayOutOptions } from './lay-out.ts';

const AT = new Date('2026-11-22T05:30:00.000Z');
const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const facts = (path: string, mode: number): Omit<NodeFile, 'kind'> => ({
  path,
  mode,
  ...owner,
  modifiedAt: AT,
});
const folder = (path: string, mode = 0o755): NodeFile => ({ ...facts(path, mode), kind: 'folder' });
const file = (path: string, mode = 0o600, text = path): NodeFile => ({
  ...facts(path, mode),
  kind: 'file',
  bytes: Buffer.from(text),
});
const link = (path: string, target: string): NodeFile => ({ ...facts(path, 0o777), kind: 'link', target });

const FILES: readonly NodeFile[] = [
  folder('/etc/kubernetes', 0o750),
  folder('/etc/kubernetes/pki', 0o700),
  folder('/etc/kubernetes/manifests'),
  file('/etc/kubernetes/pki/ca.key'),
  file('/etc/kubernetes/pki/ca.crt', 0o644),
  link('/etc/kubernetes/ca', 'pki/ca.crt'),
  file('/etc/kubernetes/manifests/etcd.yaml'),
];

const laidOut = (root: TemporaryFolder, over: Partial<LayOutOptions> = {}): Promise<LaidOut> =>
  layOut(FILES, { root: root.path, overwrite: false, dryRun: false, now: AT, ...over });

/** Every file below a folder, with what tells it apart. */
function listed(root: TemporaryFolder): string {
  return execFileSync('find', ['.', '-printf', '%P %y %m %l %s\n'], { cwd: root.path, encoding: 'utf8' });
}

test('on an empty disk all files appear, with modes, owners and times', async () => {
  await using root = await temporaryFolder();
  const { added, replaced, same, keptAside } = await laidOut(root);
  assert.deepEqual([added.length, replaced, same, keptAside], [4, [], [], undefined]);
  for (const one of FILES) {
    const there = await lstat(root.join(one.path));
    if (one.kind !== 'link') assert.equal(there.mode & 0o7777, one.mode, one.path);
    assert.deepEqual([there.uid, there.gid], [one.uid, one.gid]);
    assert.equal(there.mtime.getTime(), AT.getTime(), one.path);
    if (one.kind === 'file') assert.deepEqual(await readFile(root.join(one.path)), Buffer.from(one.bytes));
  }
  assert.equal(await readlink(root.join('/etc/kubernetes/ca')), 'pki/ca.crt');
  assert.deepEqual((await readdir(root.join('/etc/kubernetes'))).sort(), ['ca', 'manifests', 'pki']);
  const again = await laidOut(root);
  assert.deepEqual([again.added, again.same.length], [[], 4]);
});

test('owners are those of the node where root lays out, and are said where not', async () => {
  await using root = await temporaryFolder();
  const others = FILES.map((one) => ({ ...one, uid: 4321, gid: 1234 }));
  const { owners } = await layOut(others, { root: root.path, overwrite: false, dryRun: false, now: AT });
  const { uid } = await lstat(root.join('/etc/kubernetes/ca'));
  assert.equal(owners, process.geteuid?.() === 0);
  assert.equal(uid, owners ? 4321 : owner.uid);
});

test('files that differ are named, and nothing is touched without consent', async () => {
  await using root = await temporaryFolder();
  await laidOut(root);
  await writeFile(root.join('/etc/kubernetes/pki/ca.key'), 'another key');
  await chmod(root.join('/etc/kubernetes/pki/ca.crt'), 0o666);
  const before = listed(root);
  await assert.rejects(laidOut(root), (error) => {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'attachments.differs');
    assert.match(error.message, /2 files .*pki\/ca\.key \(content\), .*pki\/ca\.crt \(mode\)/);
    return true;
  });
  const dry = await laidOut(root, { dryRun: true });
  assert.deepEqual(
    dry.replaced.map(({ how }) => how),
    ['content', 'mode'],
  );
  assert.equal(listed(root), before);
});

test('with consent they are replaced, and what was there is kept aside', async () => {
  await using root = await temporaryFolder();
  await laidOut(root);
  await writeFile(root.join('/etc/kubernetes/pki/ca.key'), 'another key');
  await chmod(root.join('/etc/kubernetes/pki/ca.key'), 0o640);
  const wrong = root.join('/etc/kubernetes/manifests/etcd.yaml');
  execFileSync('rm', [wrong]);
  await symlink('/dev/null', wrong);
  const { keptAside, replaced, same } = await laidOut(root, { overwrite: true });
  assert.deepEqual([replaced.length, same.length], [2, 2]);
  assert.ok(keptAside !== undefined);
  assert.ok(keptAside.startsWith(root.join('var/lib/etcdguardian/replaced/20261122T053000Z-')), keptAside);
  assert.equal((await lstat(keptAside)).mode & 0o777, 0o700);
  assert.equal(await readFile(`${keptAside}/etc/kubernetes/pki/ca.key`, 'utf8'), 'another key');
  assert.equal((await lstat(`${keptAside}/etc/kubernetes/pki/ca.key`)).mode & 0o777, 0o640);
  assert.equal(await readlink(`${keptAside}/etc/kubernetes/manifests/etcd.yaml`), '/dev/null');
  assert.ok((await lstat(wrong)).isFile());
  assert.equal((await laidOut(root)).same.length, 4);
});

test('links on the way are never followed out of the root', async () => {
  await using outside = await temporaryFolder();
  for (const at of ['etc', 'etc/kubernetes', 'etc/kubernetes/pki']) {
    await using root = await temporaryFolder();
    await mkdir(root.join(at, '..'), { recursive: true });
    await symlink(outside.path, root.join(at));
    await assert.rejects(laidOut(root, { overwrite: true }), { code: 'attachments.in-the-way' });
  }
  assert.deepEqual(await readdir(outside.path), []);
});

test('a link in the place of a file is replaced, not written through', async () => {
  await using root = await temporaryFolder();
  await laidOut(root);
  const key = root.join('/etc/kubernetes/pki/ca.key');
  await writeFile(root.join('victim'), 'as it was');
  execFileSync('rm', [key]);
  await symlink(root.join('victim'), key);
  await laidOut(root, { overwrite: true });
  assert.equal(await readFile(root.join('victim'), 'utf8'), 'as it was');
  assert.ok((await lstat(key)).isFile());
});

test('a folder or a pipe in the place of a file is left to a person', async () => {
  for (const make of ['mkdir', 'mkfifo']) {
    await using root = await temporaryFolder();
    await laidOut(root);
    const at = root.join('/etc/kubernetes/pki/ca.key');
    execFileSync('rm', [at]);
    execFileSync(make, [at]);
    await assert.rejects(laidOut(root, { overwrite: true }), { code: 'attachments.in-the-way' });
  }
});

test('when one of them fails, all is as it was', async () => {
  await using root = await temporaryFolder();
  await mkdir(root.join('/etc/kubernetes/pki'), { recursive: true });
  await writeFile(root.join('/etc/kubernetes/pki/ca.key'), 'another key');
  await utimes(root.join('/etc/kubernetes/pki/ca.key'), AT, AT);
  // Its name is longer than the staged one may be: the last of all fails.
  const impossible = [...FILES, file(`/etc/kubernetes/${'n'.repeat(250)}`)];
  const before = listed(root).replaceAll(/ d .*/g, '');
  await assert.rejects(
    layOut(impossible, { root: root.path, overwrite: true, dryRun: false, now: AT }),
    /disk|ENAMETOOLONG/,
  );
  const after = listed(root)
    .split('\n')
    .filter((line) => !line.startsWith('var'))
    .join('\n')
    .replaceAll(/ d .*/g, '');
  assert.equal(after, before);
  assert.equal(await readFile(root.join('/etc/kubernetes/pki/ca.key'), 'utf8'), 'another key');
});

test("what a killed run left is in nobody's way", async () => {
  await using root = await temporaryFolder();
  await laidOut(root);
  const pki = root.join('/etc/kubernetes/pki');
  await writeFile(`${pki}/ca.key`, 'half replaced');
  await writeFile(`${pki}/.ca.key.etcdguardian-new`, 'half wri');
  await writeFile(`${pki}/.ca.key.etcdguardian-old`, 'older');
  await laidOut(root, { overwrite: true });
  assert.deepEqual((await readdir(pki)).sort(), ['ca.crt', 'ca.key']);
});

test('a root that is no folder is refused', async () => {
  await using root = await temporaryFolder();
  await writeFile(root.join('file'), '');
  for (const at of ['file', 'missing'])
    await assert.rejects(laidOut(root, { root: root.join(at) }), { code: 'attachments.root' });
});
