import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { type ServerProcess, startProcess } from '../../test/harness/server-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { type Command, restartUnit, systemdService } from './command-service.ts';
import { deadlineIn } from './node-service.ts';

const isRoot = process.getuid?.() === 0;

// No systemd runs here: a script takes systemctl's place, in a mount namespace that only nsenter leads to.
describe('a unit of systemd', { skip: isRoot ? false : 'NOT RUN: it needs root' }, () => {
  const { signal } = new AbortController();
  let folder: TemporaryFolder;
  let node: ServerProcess;
  let onNode: Command;
  const said = (): Promise<string> => readFile(folder.join('said'), 'utf8').catch(() => '');

  before(async () => {
    folder = await temporaryFolder();
    const script = `#!/bin/sh
echo "$@" >>${folder.join('said')}
case "$*" in
  *refused.service) echo "Unit refused.service is masked." >&2; exit 1 ;;
  'stop slow.service') exec sleep 60 ;;
esac
`;
    await writeFile(folder.join('systemctl'), script);
    await chmod(folder.join('systemctl'), 0o755);
    const enter = 'mount -t tmpfs none /mnt && cp "$0" /mnt/systemctl && echo ready && exec sleep 600';
    node = await startProcess('unshare', ['--mount', 'sh', '-c', enter, folder.join('systemctl')]);
    await node.line(/^ready$/);
    onNode = ['nsenter', `--target=${node.pid}`, '--mount', '--', 'env', 'PATH=/mnt:/usr/bin:/bin'];
  });
  after(async () => {
    await node.kill();
    await folder[Symbol.asyncDispose]();
  });

  test('is stopped and started where it is, and seen stopped', async () => {
    let looks = 0;
    const service = systemdService('etcd.service', () => Promise.resolve(++looks > 2), onNode);
    await service.stop(deadlineIn(30_000, signal));
    assert.ok(looks > 2);
    await service.start(deadlineIn(30_000, signal));
    await restartUnit('kube-scheduler.service', deadlineIn(30_000, signal), onNode);
    assert.deepEqual((await said()).trim().split('\n'), [
      'stop etcd.service',
      'start --no-block etcd.service',
      'try-restart kube-scheduler.service',
    ]);
  });

  test('that is refused says what systemctl said, and one that hangs is not waited for longer than there is time', async () => {
    const isStopped = (): Promise<boolean> => Promise.resolve(true);
    await assert.rejects(
      systemdService('refused.service', isStopped, onNode).stop(deadlineIn(30_000, signal)),
      (error: unknown) => hasCode(error, 'restore.service') && String(error).includes('is masked'),
    );
    await assert.rejects(systemdService('slow.service', isStopped, onNode).stop(deadlineIn(300, signal)), {
      code: 'restore.service',
    });
  });

  test('whose processes stay is not stopped', async () => {
    let nowMs = 0;
    const looked = (): Promise<boolean> => {
      nowMs += 20_000;
      return Promise.resolve(false);
    };
    const service = systemdService('etcd.service', looked, onNode);
    const deadline = deadlineIn(60_000, signal, () => nowMs);
    await assert.rejects(service.stop(deadline), { code: 'restore.not-stopped' });
  });
});
