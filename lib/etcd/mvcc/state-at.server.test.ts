import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allKeys, fillWithHistory, liveHash } from '../../../test/harness/etcd-content.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { type BoltFile, openBoltFile } from '../bolt/reader.ts';
import { diffStates } from './diff.ts';
import { stateAt } from './state-at.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'state')) {
  test(
    `what etcd ${version} answers at a revision is what its file says`,
    needs(`etcd ${version}`),
    async () => {
      const random = testRandom(`state ${version}`);
      await using folder = await temporaryFolder();
      const path = folder.join('snapshot.db');
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, random);
      await etcd.etcdctl('snapshot', 'save', path);
      const { revision: last, compactRevision: first } = await liveHash(etcd);

      await using file = await openBoltFile(path);
      for (const revision of [first, BigInt(random.integer(Number(first), Number(last))), last]) {
        const live = (await allKeys(etcd, revision)) as Live[];
        assert.deepEqual(await stateOf(file, revision), live.map(comparable).sort(byKey), `at ${revision}`);
      }
      const before = new Map((await stateOf(file, first)).map((record) => [record.key, record]));
      for await (const difference of diffStates({ file, revision: first }, { file })) {
        const old = before.get(difference.key.toString('base64'));
        assert.equal(difference.kind === 'added', old === undefined);
        if (difference.kind !== 'added')
          assert.equal(String(difference.before.modRevision), old?.modRevision);
      }

      // The database of a member that was killed: no trailer, room allocated ahead, perhaps one meta behind the other.
      await etcd.kill();
      await using dead = await openBoltFile(`${etcd.dataDir}/member/snap/db`);
      const flushed = await stateOf(dead, undefined);
      assert.ok(flushed.length > 0);
    },
  );
}

/** As the gateway shows a key: 64-bit numbers are strings, bytes base64, zeros absent. */
interface Live {
  readonly key: string;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly version: string;
  readonly value?: string;
  readonly lease?: string;
}

interface Comparable {
  readonly key: string;
  readonly createRevision: string;
  readonly modRevision: string;
  readonly version: string;
  readonly value: string;
  readonly lease: string;
}

function comparable(live: Live): Comparable {
  return {
    key: live.key,
    createRevision: live.create_revision,
    modRevision: live.mod_revision,
    version: live.version,
    value: live.value ?? '',
    lease: live.lease ?? '0',
  };
}

async function stateOf(file: BoltFile, revision: bigint | undefined): Promise<Comparable[]> {
  const state: Comparable[] = [];
  for await (const record of stateAt(file, { revision })) {
    state.push({
      key: record.key.toString('base64'),
      createRevision: String(record.createRevision),
      modRevision: String(record.modRevision),
      version: String(record.version),
      value: record.value.toString('base64'),
      lease: String(record.lease),
    });
  }
  return state.sort(byKey);
}

function byKey(a: Comparable, b: Comparable): number {
  return a.key < b.key ? -1 : 1;
}
