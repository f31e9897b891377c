import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { openRepository } from '../lib/repository/open-repository.ts';
import { LocalStore } from '../lib/storage/local-store.ts';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { backUpHistory, captureHistory } from '../test/harness/made-chain.ts';
import { MadeHistory } from '../test/harness/made-history.ts';
import { repositorySettings } from '../test/harness/repository.ts';
import { testRandom } from '../test/harness/sampling.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';

const disregarded = z.array(
  z.object({
    revision: z.string(),
    hash: z.int(),
    found: z.int(),
    memberId: z.string(),
    segment: z.string(),
  }),
);
const answer = z.looseObject({ outvotedHashes: disregarded, disregardedHashes: disregarded });
const restores = z.looseObject({
  restores: z.array(z.looseObject({ acceptedMismatches: z.array(z.string()).optional() })),
});

test('a hash that a member kept and that differs is disregarded only by name, and told in report and record', async () => {
  await using folder = await temporaryFolder();
  const history = new MadeHistory();
  history.grow(testRandom('a differing hash'), 200);
  const repository = await openRepository(repositorySettings(new LocalStore(folder.join('store'))));
  const base = await backUpHistory(repository, history, { until: 100n });
  const log = repository.segments;
  const proof = { hash: 4711, revision: 120n, compactRevision: -1n, memberId: 0xabn };
  await captureHistory(log, log.tailOf(base), history, [150n], { proofs: [proof] });

  const cli = guardianCli(folder);
  const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
  const point = ['points', 'export', '140', ...store, '--out', folder.join('out.db')];
  const restore = ['restore', '--to-revision', '140', ...store, '--data-dir', folder.join('data')];
  for (const command of [point, restore]) {
    for (const more of [[], ['--accept-hash-mismatch', '119']]) {
      const said = await cli.fails(3, 'merge.hash-mismatch', [...command, ...more]);
      assert.match(said, /at revision 120 .* member ab had 4711/);
      assert.match(said, /--accept-hash-mismatch 120/);
    }
    await cli.fails(2, 'usage.revision', [...command, '--accept-hash-mismatch', 'all']);
    const accept = ['--accept-hash-mismatch', '120'];
    const told = await cli.json(answer, [...command, ...accept]);
    assert.deepEqual(
      told.disregardedHashes.map(({ revision, memberId, hash }) => [revision, memberId, hash]),
      [['120', 'ab', 4711]],
    );
    assert.deepEqual(told.outvotedHashes, []);
  }
  const again = [...restore.slice(0, -1), folder.join('again'), '--accept-hash-mismatch', '120'];
  const { status, stderr } = await cli.run(again);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /warning: at revision 120 .*; disregarded, as asked/);
  const recorded = await cli.json(restores, ['restores', 'list', ...store]);
  assert.deepEqual(
    recorded.restores.map(({ acceptedMismatches }) => acceptedMismatches),
    [['120'], ['120'], ['119'], undefined],
  );
});
