import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { runProgram } from '../harness/run-program.ts';
import { sample } from '../harness/sampling.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs, requireTool } from '../harness/tools.ts';

const NEEDS = { ...needs('etcd 3.6.16'), ...needsSmallDisk() };

describe('a dead member is rescued', NEEDS, () => {
  const stack = new AsyncDisposableStack();
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let database: string;
  let digest: string;
  before(async () => {
    folder = stack.use(await temporaryFolder());
    etcd = stack.use(await startEtcd());
    await putOne(etcd, '/registry/last', 'acknowledged');
    await etcd.stop();
    cli = guardianCli(folder);
    database = join(etcd.dataDir, 'member', 'snap', 'db');
    digest = await digestOf(database);
  });
  after(() => stack.disposeAsync());

  /** Runs it within; resolves to its status and what it said. */
  const rescue = async (
    within: readonly string[],
    out: string,
    ...more: readonly string[]
  ): Promise<[number | string, string]> => {
    const command = ['rescue', '--data-dir', etcd.dataDir, '--out', out, ...more];
    await using running = await cli.start(command, { within });
    return [await running.exited, running.output()];
  };

  const scenes: (readonly [string, () => Promise<void>])[] = [];
  const scenery = (name: string, work: () => Promise<void>): void => {
    scenes.push([name, work]);
  };

  scenery('not onto a disk that has no room for it, and nothing is left there', async () => {
    const { size } = await stat(database);
    await using disk = await smallDisk(Math.floor(size / 2));
    const [status, said] = await rescue(disk.within, join(disk.path, 'rescued.db'));
    assert.notEqual(status, 0);
    assert.match(said, /\[rescue\.no-room\]/);
    assert.match(said, /what to do: Write it to another disk/);
    const [program = '', ...args] = disk.within;
    assert.equal((await runProgram(program, [...args, 'ls', '-A', disk.path])).trim(), '');
    assert.equal(await digestOf(database), digest);
  });

  scenery('onto a disk that it fits on exactly', async () => {
    const { size } = await stat(database);
    await using disk = await smallDisk(size + 2 * 4096);
    const [status, said] = await rescue(disk.within, join(disk.path, 'rescued.db'));
    assert.equal(status, 0, said);
  });

  scenery('from a disk that is mounted read-only', async () => {
    const out = folder.join('from-read-only.db');
    const [status, said] = await rescue(readOnly(etcd.dataDir), out);
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /could not be locked/);
    assert.equal((await cli.run(['snapshot', 'verify', out])).status, 0);
    assert.equal(await digestOf(database), digest);
  });

  scenery('with its log, from a disk that is mounted read-only', async () => {
    const out = folder.join('with-log.db');
    const [status, said] = await rescue(
      readOnly(etcd.dataDir),
      out,
      ...['--etcd', requireTool('etcd', '3.6.16')],
    );
    assert.equal(status, 0, said);
    assert.match(said, /only in its log: nothing: the database had it all/);
    assert.equal(await digestOf(database), digest);
  });

  scenery('not into a folder that can’t be written to, which is named', async () => {
    const target = folder.join('read-only');
    await runProgram('mkdir', [target]);
    const [status, said] = await rescue(readOnly(target), join(target, 'rescued.db'));
    assert.notEqual(status, 0);
    assert.match(said, /etcdguardian: .*read-only.*\[disk\./);
    assert.deepEqual(await readdir(target), []);
  });

  for (const [name, work] of sample(scenes, 1, 'rescue on bad disks')) test(name, work);
});

/** A command that runs the command after it where a folder can't be changed. */
function readOnly(path: string): readonly string[] {
  const script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"';
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  return ['unshare', '--mount', ...user, 'sh', '-c', script, path];
}

async function digestOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
