import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { type TemporaryFolder, temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { layCarrier } from './lay-carrier.ts';

suite('a carrier of programs', () => {
  let folder: TemporaryFolder;
  before(async () => {
    folder = await temporaryFolder();
    await layCarrier(folder.join('carrier'));
  });
  after(() => folder[Symbol.asyncDispose]());

  const run = async (
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    const lib = ['--library-path', folder.join('carrier/lib')];
    const started = promisify(execFile)(folder.join('carrier/loader'), [...lib, ...args], { env, cwd: '/' });
    return (await started).stdout;
  };
  const copied = (program: string, path: string): Promise<string> => {
    const node = [folder.join('carrier/node'), folder.join('carrier/copy-program.mts')];
    return run([...node, program, folder.join('out')], { PATH: path });
  };

  test('has every library that its Node needs', async () => {
    const lines = (await run(['--list', folder.join('carrier/node')])).trim().split('\n');
    const elsewhere = lines.filter((line) => !line.includes('linux-vdso') && !line.includes(folder.path));
    assert.ok(lines.length > 3, lines.join());
    assert.deepEqual(elsewhere, []);
  });

  test('copies a program from where PATH says, whoever may run it there', async () => {
    await mkdir(folder.join('bin'));
    await mkdir(folder.join('out'));
    await writeFile(folder.join('bin/etcd'), 'the program');
    await chmod(folder.join('bin/etcd'), 0o555);
    await copied('etcd', `/nowhere:${folder.join('bin')}`);
    assert.equal(await readFile(folder.join('out/etcd'), 'utf8'), 'the program');
    assert.equal((await stat(folder.join('out/etcd'))).mode & 0o777, 0o755);
  });

  test('says where it looked in vain', async () => {
    await assert.rejects(
      copied('kube-nothing', '/nowhere'),
      /no kube-nothing comes out of this image: there is none in \/nowhere, \/usr\/local\/bin, \/usr\/bin, \/bin/,
    );
  });
});
