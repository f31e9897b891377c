import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { restoredAnswer } from '../test/harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { repositorySettings, repositoryWithBackup } from '../test/harness/repository.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { LocalStore } from '../lib/storage/local-store.ts';

const TWO = ['--initial-cluster', 'm1=http://127.0.0.1:1,m2=http://127.0.0.1:2'];

test('each node reads which restore it is part of, and a second one for a node says that it is another', async () => {
  await using world = await machineWithBackup();
  const said = async (name: string, dir: string): Promise<string> => {
    const { status, stderr } = await world.restore([...TWO, '--name', name, '--data-dir', world.dir(dir)]);
    assert.equal(status, 0, stderr);
    return stderr;
  };
  assert.match(await said('m1', 'one'), /^restore 1 begins\n/);
  assert.match(await said('m2', 'two'), /^part of restore 1, begun \S+Z by \S+@\S+, which has made m1\n/);
  assert.match(
    await said('m1', 'three'),
    /^restore 2 begins, apart from restore 1 of \S+Z: m1 was made for it\n/,
  );
});

test('each node reads which members are still to be made, and not those that are', async () => {
  await using world = await machineWithBackup();
  const made = async (name: string): Promise<string> => {
    const { status, stdout, stderr } = await world.restore([
      ...TWO,
      '--name',
      name,
      '--data-dir',
      world.dir(name),
    ]);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const first = await made('m1');
  assert.match(first, /^Still to be made, .*, on their nodes: m2$/m);
  assert.doesNotMatch(first, /Made already/);
  const second = await made('m2');
  assert.match(second, /^Made already for this restore: m1$/m);
  assert.doesNotMatch(second, /Still to be made/);
});

test('a restore that fails gives its member back, so that the next run joins the same one', async () => {
  await using world = await machineWithBackup();
  const sound = await readFile(world.base);
  await writeFile(world.base, Buffer.concat([sound.subarray(0, -9), Buffer.alloc(9)]));
  const failed = await world.restore(['--data-dir', world.dir('one')]);
  assert.equal(failed.status, 3, failed.stderr);
  await writeFile(world.base, sound);
  const again = await world.restore(['--data-dir', world.dir('two')]);
  assert.match(again.stderr, /^part of restore 1, begun .* which has made no member yet\n/);
});

test('a run that was killed can be done again for the same restore', async () => {
  await using world = await machineWithBackup();
  const json = (dir: string, more: readonly string[] = []): Promise<{ token: string }> =>
    world.cli.json(restoredAnswer, ['restore', ...world.store, '--data-dir', world.dir(dir), ...more]);
  const killed = await json('one');
  assert.equal((await json('two', ['--join-restore', '1'])).token, killed.token);
  assert.notEqual((await json('three')).token, killed.token);
  const options = ['restore', ...world.store, '--data-dir', world.dir('four')];
  await world.cli.fails(4, 'repository.not-found', [...options, '--join-restore', '9']);
  await world.cli.fails(2, 'usage.number', [...options, '--join-restore', 'first']);
  const { status, stderr } = await world.restore(['--data-dir', 'x', '--join-restore', '1', '--no-record']);
  assert.deepEqual([status, stderr.includes('cannot be used with')], [2, true], stderr);
});

test('a rehearsal without a record leaves none, and says what that means', async () => {
  await using world = await machineWithBackup();
  const { status, stderr } = await world.restore(['--no-record', '--data-dir', world.dir('one')]);
  assert.equal(status, 0, stderr);
  assert.match(
    stderr,
    /^warning: of this restore no record is kept: .* new --initial-cluster-token and --bump-to\n/,
  );
  assert.deepEqual((await readdir(world.dir('store/clusters/prod'))).sort(), ['timelines']);
});

interface Machine extends AsyncDisposable {
  readonly cli: GuardianCli;
  readonly store: readonly string[];
  /** File of the backup's base in the store. */
  readonly base: string;
  readonly dir: (name: string) => string;
  readonly restore: (args: readonly string[]) => ReturnType<GuardianCli['run']>;
}

async function machineWithBackup(): Promise<Machine> {
  const folder = await temporaryFolder();
  const { backup } = await repositoryWithBackup(repositorySettings(new LocalStore(folder.join('store'))));
  const cli = guardianCli(folder);
  const store = localStoreOptions(folder);
  return {
    ...{ cli, store, base: folder.join('store', backup.manifest.base.name) },
    dir: (name) => folder.join(name),
    restore: (args) => cli.run(['restore', ...store, ...args]),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
