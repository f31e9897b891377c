import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../test/harness/eventually.ts';
import { startProcess } from '../../../test/harness/server-process.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs, requireTool } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';

const NOWHERE = 'http://127.0.0.1:1';

for (const version of ETCD_VERSIONS) {
  test(
    `etcd ${version} answers on a Unix socket, whatever its endpoint is called`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const urls = ['--listen-client-urls=unix://client:0', '--advertise-client-urls=unix://client:0'];
      const args = [
        ...urls,
        '--listen-peer-urls=unix://peer:0',
        `--data-dir=${folder.join('data')}`,
        '--logger=zap',
      ];
      await using etcd = await startProcess(requireTool('etcd', version), args, { cwd: folder.path });
      await using client = connectEtcd({ endpoints: [NOWHERE], socketPath: folder.join('client:0') });
      const status = await eventually('etcd serves', async () => {
        assert.ok(etcd.isRunning(), etcd.output());
        try {
          return await client.status(NOWHERE);
        } catch {
          return undefined;
        }
      });
      assert.equal(status.version, version);
      await eventually('etcd has a leader', async () => (await client.status(NOWHERE)).isLeader);
      assert.equal((await client.range('a')).count, 0n);
    },
  );
}

test('a Unix socket that nobody listens on is told as such', async () => {
  await using folder = await temporaryFolder();
  await using client = connectEtcd({ endpoints: [NOWHERE], socketPath: folder.join('client:0') });
  await assert.rejects(client.status(NOWHERE), (error) => hasCode(error, 'etcd.unreachable'));
});
