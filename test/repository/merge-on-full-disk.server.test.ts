import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { benchRepository } from '../../bench/merge-process.ts';
import { backUpHistory, captureHistory } from '../harness/made-chain.ts';
import { MadeHistory } from '../harness/made-history.ts';
import { runProgram } from '../harness/run-program.ts';
import { testRandom } from '../harness/sampling.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const MERGE = join(import.meta.dirname, '..', '..', 'bench', 'merge-process.ts');

test(
  'a disk that is too small is told, and what was written there is removed',
  needsSmallDisk(),
  async () => {
    await using folder = await temporaryFolder();
    const random = testRandom('full disk');
    const history = new MadeHistory();
    for (let number = 0; number < 60; number++) history.put(`/k/${number}`, random.bytes(30_000));
    const repository = await benchRepository(folder.join('store'));
    const base = await backUpHistory(repository, history, { until: 31n });
    const log = repository.segments;
    await captureHistory(log, log.tailOf(base), history, [61n]);

    // Too small for the base; then for what comes behind it.
    for (const bytes of [500_000, 1_500_000]) {
      await using disk = await smallDisk(bytes);
      const [enter = '', ...inside] = disk.within;
      const merge = [process.execPath, MERGE, folder.join('store'), join(disk.path, 'm.db'), '9'];
      await assert.rejects(runProgram(enter, [...inside, ...merge]), /disk\.full/);
      assert.equal(await runProgram(enter, [...inside, 'ls', '-A', disk.path]), '');
    }
  },
);
