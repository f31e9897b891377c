import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repositorySettings, repositoryWithBackup } from '../../test/harness/repository.ts';
import { appendSegments } from '../../test/harness/segments.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { segmentName } from './layout.ts';
import { markTrim } from './trims.ts';

test('what was captured and removed again was served all the same', async () => {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.path));
  const { repository, backup } = await repositoryWithBackup(settings);
  const start = repository.segments.tailOf(backup);
  const ends = [10n, 20n, 30n].map((more) => start.revision + more);
  await appendSegments(repository.segments, start, ends);
  const end = start.revision + 30n;
  assert.equal(await repository.highWater('prod'), end);

  const range = { from: start.revision + 10n, to: end };
  await markTrim(settings, backup, { action: 'trim', ranges: [range] }, { by: 'a test' }, undefined);
  for (const from of [range.from, start.revision + 20n])
    await settings.store.delete(segmentName(backup, from));
  assert.equal(await repository.highWater('prod'), end);
});
