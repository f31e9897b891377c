import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allKeys, fillWithHistory, liveHash, putOne } from '../../../test/harness/etcd-content.ts';
import { callGateway } from '../../../test/harness/etcd-gateway.ts';
import { etcdctl, etcdutl } from '../../../test/harness/etcd-programs.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { startRestored } from '../../../test/harness/restored-etcd.ts';
import { sample, testRandom, WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import { encodeKeyValue } from '../mvcc/key-value.ts';
import { encodeRevisionKey } from '../mvcc/revision.ts';
import { editBoltFile } from './editor.ts';
import { batchOf } from './entry-batch.ts';
import { openBoltFile } from './reader.ts';
import { type BucketSource, writeBoltFile } from './writer.ts';

const PAGE_SIZES = [1024, 4096, 16384, 65536];
const CASES = ETCD_VERSIONS.flatMap((version) => PAGE_SIZES.map((pageSize) => ({ version, pageSize })));

for (const { version, pageSize } of sample(CASES, 3, 'writer')) {
  test(
    `etcd ${version} takes a file of ours with pages of ${pageSize} bytes for its own`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const [theirs, ours] = [folder.join('theirs.db'), folder.join('ours.db')];
      await using source = await startEtcd({ version });
      await fillWithHistory(source, testRandom(`writer ${version} ${pageSize}`), 120);
      await source.etcdctl('snapshot', 'save', theirs);

      // The same content in pages of our own has the same hash, also to the page checks of `snapshot status`.
      await rewrite(theirs, ours, pageSize);
      assert.deepEqual(await statusOf(version, ours), await statusOf(version, theirs));
      // So it has once it was changed in place.
      await editBoltFile(
        ours,
        new Map([['alarm', { replace: [batchOf([[Buffer.from('x'), Buffer.alloc(9000)]])] }]]),
      );
      await editBoltFile(ours, new Map([['alarm', { replace: [] }]]));
      assert.deepEqual(await statusOf(version, ours), await statusOf(version, theirs));

      // Etcd's own restore accepts it, with its trailer.
      await rewrite(theirs, ours, pageSize);
      await restoreWithTheirTool(version, ours, folder);

      // It is served, written to, compacted and defragmented.
      await using restored = await startRestored({ version, file: ours });
      const { member } = restored;
      assert.deepEqual(await allKeys(member), await allKeys(source));
      assert.deepEqual(await liveHash(member), await liveHash(source));
      await fillWithHistory(member, testRandom('more'), 60);
      const revision = await putOne(member, '/last', 'x');
      await callGateway(member, 'kv/compaction', { revision: String(revision), physical: true });
      const [keys, hash] = [await allKeys(member), await liveHash(member)];
      await member.etcdctl('defrag');
      await member.restart();
      assert.deepEqual(await allKeys(member), keys);
      assert.deepEqual(await liveHash(member), hash);
    },
  );
}

for (const version of sample(ETCD_VERSIONS, 1, 'rebalance')) {
  test(
    `a compaction by etcd ${version} that thins out our pages does it no harm`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const random = testRandom('rebalance');
      // A branch of 4096 bytes has 123 children; one leaf more, and a careless writer makes a branch of one.
      const many = WHOLE_MATRIX ? [123 * 123 + 1] : [];
      for (const leaves of [124, random.integer(125, 400), ...many]) {
        const file = folder.join(`${leaves}.db`);
        // Two records fit one page, and of the last page's a compaction leaves one.
        const last = BigInt(2 * leaves + 1);
        const value = Buffer.alloc(1900, 'v');
        const record = (main: bigint): readonly [Buffer, Buffer] => {
          const again = main === last ? 1n : 0n;
          const key = Buffer.from(`k${main - again}`);
          const put = {
            key,
            value,
            createRevision: main - again,
            modRevision: main,
            version: 1n + again,
            lease: 0n,
          };
          return [encodeRevisionKey({ main, sub: 0n }), encodeKeyValue(put)];
        };
        const records = Array.from({ length: 2 * leaves }, (_, index) =>
          batchOf([record(BigInt(index + 2))]),
        );
        await writeBoltFile(file, [
          { name: 'key', entries: records },
          { name: 'meta', entries: [] },
        ]);
        await using restored = await startRestored({ version, file });
        const { member } = restored;
        await callGateway(member, 'kv/compaction', { revision: String(last), physical: true });
        assert.equal(await putOne(member, 'k', 'new'), last + 1n);
        await eventually(
          'it answers after the compaction',
          async () => (await liveHash(member)).revision === last + 1n,
        );
        assert.match(await member.etcdctl('get', 'k'), /new/);
      }
    },
  );
}

async function rewrite(from: string, to: string, pageSize: number): Promise<void> {
  await using file = await openBoltFile(from);
  const buckets = file.bucketNames.map((name): BucketSource => ({ name, entries: file.entries(name) }));
  await writeBoltFile(to, buckets, { pageSize });
}

/** But for the size, which depends on the pages. */
async function statusOf(version: EtcdVersion, file: string): Promise<object> {
  const args = ['snapshot', 'status', file, '--write-out=json'];
  const json = version === '3.4.23' ? await etcdctl(version, ...args) : await etcdutl(version, ...args);
  return { ...(JSON.parse(json) as object), totalSize: 0 };
}

async function restoreWithTheirTool(
  version: EtcdVersion,
  file: string,
  folder: TemporaryFolder,
): Promise<void> {
  const args = ['snapshot', 'restore', file, `--data-dir=${folder.join('restored')}`];
  if (version === '3.4.23') await etcdctl(version, ...args);
  else await etcdutl(version, ...args);
}
