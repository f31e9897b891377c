import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { findTool } from '../harness/tools.ts';
import { runProgram } from '../harness/run-program.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Words of every command, from the help of the one before it. */
async function allCommands(cli: GuardianCli, words: readonly string[] = []): Promise<string[][]> {
  const { status, stdout, stderr } = await cli.run([...words, '--help']);
  assert.deepEqual([status, stderr], [0, ''], words.join(' '));
  const listed = /\nCommands:\n((?: {2}.*\n)+)/.exec(`${stdout}\n`)?.[1] ?? '';
  const children = Array.from(listed.matchAll(/^ {2}([a-z-]+)/gm), ([, name = '']) => name);
  const found: string[][] = [[...words]];
  for (const child of children.filter((name) => name !== 'help')) {
    found.push(...(await allCommands(cli, [...words, child])));
  }
  return found;
}

test('every command explains itself, and its options say what they are for', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  const commands = await allCommands(cli);
  assert.deepEqual(
    commands.filter(({ length }) => length === 2).map((words) => words.join(' ')),
    [
      ...['create', 'list', 'show', 'verify', 'delete', 'undelete', 'prune', 'sweep'].map(
        (one) => `backup ${one}`,
      ),
      'capture run',
      'capture status',
      ...['cluster', 'node', 'status', 'settle', 'clean-up'].map((one) => `restore ${one}`),
      ...['run', 'carrier'].map((one) => `drill ${one}`),
      ...['list', 'verify', 'undelete', 'export'].map((one) => `points ${one}`),
      ...['show', 'extract'].map((one) => `attachments ${one}`),
      'history get',
      'restores list',
      ...['verify', 'inspect', 'diff'].map((one) => `snapshot ${one}`),
      ...['create', 'show', 'recover', 'rotate'].map((one) => `keys ${one}`),
      ...['backup', 'restore', 'points', 'status', 'doctor'].map((one) => `kube ${one}`),
      ...['issue', 'show'].map((one) => `pki ${one}`),
    ],
  );
  for (const words of commands) {
    const { stdout } = await cli.run([...words, '--help']);
    assert.match(stdout, new RegExp(`^Usage: etcdguardian ${words.join(' ')}`), stdout);
    const options = /\nOptions:\n((?: {2}.*\n)+)/.exec(`${stdout}\n`)?.[1] ?? '';
    for (const line of options.split(/\n(?= {2}-)/)) assert.match(line, /^ +-.* {2}\S.{8}/, line);
  }
});

test('the exit codes are part of the help', async () => {
  await using folder = await temporaryFolder();
  const { stdout } = await guardianCli(folder).run(['--help']);
  for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 130])
    assert.match(stdout, new RegExp(`^ {2}${code} {2,}\\S`, 'm'));
});

test('a wrong command line ends with 2 and says what is wrong, before anything is touched', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  const store = ['--store', `file://${folder.join('store')}`];
  const wrong: (readonly [RegExp, readonly string[]])[] = [
    [/unknown command 'bakup'/, ['bakup']],
    [/unknown option '--stroe'/, ['backup', 'list', '--stroe', 'x']],
    [/required option '--data-dir/, ['restore', ...store]],
    [/no store given \[usage.store\]/, ['backup', 'list']],
    [/\[store.url\]/, ['backup', 'list', '--store', 'ftp://host/x']],
    [/no etcd endpoint given \[usage.endpoints\]/, ['backup', 'create', ...store]],
    [/\[usage.retention\]/, ['backup', 'prune', ...store]],
    [/'xml' is invalid/, ['backup', 'list', ...store, '--output', 'xml']],
    [/\[usage.shell\]/, ['completion', 'tcsh']],
  ];
  for (const [said, args] of wrong) {
    const { status, stderr, stdout } = await cli.run(args);
    assert.match(stderr, said);
    assert.deepEqual([status, stdout], [2, ''], args.join(' '));
  }
  assert.equal(existsSync(folder.join('store')), false);
});

test('a URL with credentials in it is refused without repeating them', async () => {
  await using folder = await temporaryFolder();
  const args = ['backup', 'list', '--store', 's3://AKIAXXXX:verysecret@bucket/prefix'];
  const told = await guardianCli(folder).fails(2, 'store.url', args);
  assert.equal(told.includes('verysecret'), false, told);
});

test('what was named and is not there ends with 4', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  const store = ['--store', `file://${folder.join('store')}`];
  await cli.fails(4, 'repository.not-found', ['backup', 'verify', ...store]);
  const restore = ['restore', ...store, '--data-dir', folder.join('data')];
  await cli.fails(4, 'repository.not-found', restore);
  await cli.fails(4, 'disk.not-found', ['restore', '--snapshot', folder.join('no'), ...restore.slice(3)]);
  await cli.fails(4, 'disk.not-found', ['snapshot', 'verify', folder.join('no')]);
});

test('the completion scripts are accepted by their shells, and bash completes commands and options', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = folder.join(`completion.${shell}`);
    const { status, stdout } = await cli.run(['completion', shell]);
    assert.equal(status, 0);
    await writeFile(script, stdout);
    const program = findTool(shell);
    if (program !== undefined) execFileSync(program, [shell === 'fish' ? '--no-execute' : '-n', script]);
  }
  const complete = (...words: string[]): string[] => completed(folder, words);
  assert.deepEqual(complete('back'), ['backup']);
  assert.ok(complete('backup', '').includes('undelete'));
  assert.deepEqual(complete('restore', '--data-'), ['--data-dir']);
  assert.deepEqual(complete('backup', 'list', '--output', 'j'), ['json']);
});

/** What bash offers for the last of the words. */
function completed(folder: TemporaryFolder, words: readonly string[]): string[] {
  const script = `
    source "${folder.join('completion.bash')}"
    COMP_WORDS=(etcdguardian ${words.map((word) => `"${word}"`).join(' ')})
    COMP_CWORD=${words.length}
    _etcdguardian
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
}

test('bin/etcdguardian starts the program, also by a link to it', async () => {
  await using folder = await temporaryFolder();
  const link = folder.join('guardian');
  await symlink(join(ROOT, 'bin', 'etcdguardian'), link);
  assert.match(await runProgram(link, ['--version'], { cwd: folder.path }), /^\d+\.\d+\.\d+\n$/);
});

test('bin/etcdguardian says what to do where the npm packages are missing', async () => {
  await using folder = await temporaryFolder();
  for (const part of ['bin', 'tools']) await mkdir(folder.join(part));
  for (const file of ['bin/etcdguardian', 'tools/node.sh', '.node-version'])
    await copyFile(join(ROOT, file), folder.join(file));
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` };
  const { status, stdout, stderr } = spawnSync(folder.join('bin/etcdguardian'), ['--version'], {
    env,
    encoding: 'utf8',
  });
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^etcdguardian: the npm packages are missing: .*: make -C \S+ packages\n$/);
});
