import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../../test/harness/run-program.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { hasCode } from '../guardian-error.ts';
import { collect, MIB, randomBody } from './conformance-bytes.ts';
import { rejectsWith } from './conformance-writing.ts';
import { LocalStore } from './local-store.ts';
import { describeObjectStore } from './object-store.conformance.ts';
import type { UploadReport, UploadTask } from './upload-process.fixture.ts';

const NOBODY = 65_534;

describeObjectStore('a folder', async () => {
  const folder = await temporaryFolder();
  return {
    store: new LocalStore(folder.join('not', 'yet', 'made')),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});

async function names(store: LocalStore): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list('')) found.push(name);
  return found;
}

test('files are for their owner only, whatever the umask, and folders too', async () => {
  await using folder = await temporaryFolder();
  const root = folder.join('made', 'by', 'the', 'store');
  const umask = process.umask(0);
  try {
    await new LocalStore(root).putIfAbsent('a/b/object', Buffer.from('x'));
  } finally {
    process.umask(umask);
  }
  for (const path of ['a/b', 'a', '.', '.uploads', '..', '../..', '../../..']) {
    assert.equal((await stat(join(root, path))).mode & 0o777, 0o700, path);
  }
  assert.equal((await stat(join(root, 'a/b/object'))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(join(root, '.uploads')), []);
});

test('a symbolic link below the root is never followed, nor listed', async () => {
  await using folder = await temporaryFolder();
  const outside = folder.join('outside');
  const root = folder.join('root');
  await mkdir(outside);
  await mkdir(join(root, 'real'), { recursive: true });
  await writeFile(join(outside, 'secret'), 'hush');
  await symlink(outside, join(root, 'folder'));
  await symlink(join(outside, 'secret'), join(root, 'file'));
  await symlink(join(outside, 'new'), join(root, 'dangling'));
  const store = new LocalStore(root);
  for (const name of ['folder/secret', 'file']) {
    await rejectsWith('store.denied', collect(store.get(name)));
    await rejectsWith('store.denied', store.stat(name));
  }
  await rejectsWith('store.denied', store.putIfAbsent('folder/new', Buffer.from('x')));
  await rejectsWith('store.denied', store.put('folder/deeper/new', randomBody('x', 1)));
  await rejectsWith('store.exists', store.putIfAbsent('dangling', Buffer.from('x')));
  await rejectsWith('store.denied', store.delete('folder/secret'));
  await rejectsWith('store.denied', store.list('folder/').next());
  assert.deepEqual(await names(store), []);
  assert.deepEqual(await readdir(outside), ['secret']);
});

test('the root itself may be reached by a link', async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.join('real'));
  await symlink(folder.join('real'), folder.join('link'));
  const store = new LocalStore(folder.join('link'));
  await store.putIfAbsent('a/b', Buffer.from('x'));
  assert.deepEqual(await names(store), ['a/b']);
  assert.equal(await readFile(folder.join('real', 'a', 'b'), 'utf8'), 'x');
});

test("what isn't ours to write isn't listed: other names, pipes, sockets, temporary files", async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  await store.putIfAbsent('ours', Buffer.from('x'));
  await writeFile(folder.join('with space'), '');
  await writeFile(folder.join('naïve'), '');
  await mkdir(folder.join('lost+found'));
  await writeFile(folder.join('lost+found', 'a'), '');
  await writeFile(folder.join('.uploads', '1-unfinished'), '');
  execFileSync('mkfifo', [folder.join('pipe')]);
  assert.deepEqual(await names(store), ['ours']);
  await rejectsWith('store.not-found', collect(store.get('pipe')));
  assert.equal(await store.sweepStaleUploads(new Date()), 1);
  assert.deepEqual(await readdir(folder.join('.uploads')), []);
});

test('a name that is the folder of another, or below a file, is refused', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  await store.putIfAbsent('a/b', Buffer.from('x'));
  await rejectsWith('store.exists', store.putIfAbsent('a', Buffer.from('y')));
  await rejectsWith('store.name', store.putIfAbsent('a/b/c', Buffer.from('y')));
  await rejectsWith('store.name', store.putIfAbsent('a/b/c/d', Buffer.from('y')));
  await rejectsWith('store.not-found', store.stat('a/b/c'));
  assert.deepEqual(await names(store), ['a/b']);
  await writeFile(folder.join('file'), '');
  await rejectsWith('store.name', new LocalStore(folder.join('file')).putIfAbsent('x', Buffer.from('y')));
});

test('folders that a delete empties go, and racing writers still get theirs', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const writer = async (id: number): Promise<void> => {
    for (let round = 0; round < 40; round += 1) {
      await store.putIfAbsent(`deep/er/${id}`, Buffer.from('x'));
      await store.delete(`deep/er/${id}`);
    }
  };
  await Promise.all([1, 2, 3, 4].map(writer));
  assert.deepEqual(await readdir(folder.path), ['.uploads']);
});

test('a file that is cut while it is read is corrupt', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  await store.put('object', randomBody('cut', 4 * MIB));
  const reading = async (): Promise<void> => {
    for await (const chunk of store.get('object')) {
      assert.ok(chunk.length > 0);
      await truncate(folder.join('object'), MIB);
    }
  };
  await rejectsWith('store.corrupt', reading());
});

test('a store that may not be read or written is denied, not empty', async () => {
  await using folder = await temporaryFolder();
  await using user = await asOrdinaryUser(folder.path);
  const store = new LocalStore(user.folder);
  await store.putIfAbsent('a/b', Buffer.from('x'));
  await chmod(folder.join('a'), 0);
  await rejectsWith('store.denied', store.list('').next());
  await rejectsWith('store.denied', store.stat('a/b'));
  await rejectsWith('store.denied', collect(store.get('a/b')));
  await rejectsWith('store.denied', store.putIfAbsent('a/c', Buffer.from('x')));
  await chmod(folder.join('a'), 0o500);
  await rejectsWith('store.denied', store.delete('a/b'));
  await rejectsWith('store.denied', store.putIfAbsent('a/c', Buffer.from('x')));
  assert.deepEqual(await names(store), ['a/b']);
  await chmod(folder.join('a'), 0o700);
});

test('a full disk is store.full and leaves nothing behind', { skip: withoutMounts() }, async () => {
  await using folder = await temporaryFolder();
  const fixture = join(import.meta.dirname, 'upload-process.fixture.ts');
  const task: UploadTask = {
    settings: { kind: 'local', folder: folder.path },
    name: 'large',
    bytes: 64 * MIB,
  };
  const script = 'mount -t tmpfs -o size=24m none "$0" && "$1" "$2" "$3" && find "$0" -type f';
  const output = await runProgram('unshare', [
    ...['--map-root-user', '--mount', 'sh', '-c', script],
    ...[folder.path, process.execPath, fixture, JSON.stringify(task)],
  ]);
  const [report = '', ...files] = output.trim().split('\n');
  assert.equal((JSON.parse(report) as UploadReport).outcome, 'store.full');
  assert.deepEqual(files, [folder.join('large.warm-up')]);
});

test('a sweep in mid-upload makes that upload fail, clearly', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  async function* body(): AsyncGenerator<Uint8Array, void> {
    yield Buffer.from('x');
    await rm(folder.join('.uploads'), { recursive: true });
    yield Buffer.from('y');
  }
  await assert.rejects(store.put('object', body()), (error) => {
    assert.ok(hasCode(error, 'store.upload-lost'));
    return error.hint?.includes('swept') === true;
  });
});

test('the location is a URL, and the working folder plays no part once opened', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.join('with space'));
  assert.equal(store.location, `file://${dirname(folder.join('x'))}/with%20space`);
  await store.putIfAbsent('a', Buffer.from('x'));
  assert.ok((await lstat(folder.join('with space', 'a'))).isFile());
});

/** Root may read everything; where a test runs as root, the store is for a while used by nobody. */
async function asOrdinaryUser(folder: string): Promise<{ folder: string } & AsyncDisposable> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    await chown(folder, NOBODY, NOBODY);
    process.seteuid?.(NOBODY);
  }
  return {
    folder,
    [Symbol.asyncDispose]() {
      if (isRoot) process.seteuid?.(0);
      return Promise.resolve();
    },
  };
}

/** Needs a mount of its own in a namespace of its own, which not every system allows. */
function withoutMounts(): string | false {
  try {
    execFileSync('unshare', ['--map-root-user', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], {
      stdio: 'ignore',
    });
    return false;
  } catch {
    return 'NOT RUN: this system allows no mounts in a namespace (unshare)';
  }
}
