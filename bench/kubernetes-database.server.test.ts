import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { test } from 'node:test';
import { liveHash, putOne } from '../test/harness/etcd-content.ts';
import { etcdutl } from '../test/harness/etcd-programs.ts';
import { startRestored } from '../test/harness/restored-etcd.ts';
import { sample } from '../test/harness/sampling.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { needs } from '../test/harness/tools.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';

for (const version of sample(['3.5.35', '3.6.16', '3.7.3'] as const, 1)) {
  test(
    `etcdutl and etcd ${version} take a generated database for their own`,
    needs(`etcdutl ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const [file, copy] = [folder.join('x.db'), folder.join('copy.db')];
      const written = await writeKubernetesDatabase(file, { seed: 5, targetBytes: 30_000_000 });
      const status = JSON.parse(
        await etcdutl(version, 'snapshot', 'status', file, '--write-out=json'),
      ) as Status;
      assert.equal(BigInt(status.revision), written.revision);
      const keys = version === '3.5.35' ? written.entries : written.liveKeys;
      assert.equal(status.totalKey, keys);

      const versionEdits = version === '3.5.35' ? { dropStorageVersion: true, clusterVersion: '3.5.0' } : {};
      await using restored = await startRestored({ version, file, versionEdits });
      const live = await liveHash(restored.member);
      assert.equal(live.revision, written.revision);
      assert.equal(live.compactRevision, written.compactRevision);
      if (version === '3.7.3') {
        // It writes to the file; 3.6's own can't cope with leases.
        await copyFile(file, copy);
        const hashed = JSON.parse(await etcdutl(version, 'hashkv', copy, '--write-out=json')) as {
          hash: number;
        };
        assert.equal(hashed.hash, live.hash);
      }
      assert.equal(await putOne(restored.member, '/registry/new', 'x'), written.revision + 1n);
    },
  );
}

interface Status {
  readonly revision: number;
  readonly totalKey: number;
}
