import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { z } from 'zod';
import { capturedStore } from '../test/harness/captured-store.ts';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';

const answer = z.object({
  timelines: z.array(
    z.object({
      timeline: z.string(),
      spans: z.array(z.looseObject({ kind: z.string(), first: z.string(), last: z.string() })),
    }),
  ),
});

test('what can be restored is listed, and where something is missing it is drawn', async () => {
  await using folder = await temporaryFolder();
  const store = await capturedStore(folder);
  for (const value of ['a', 'b', 'c'])
    await store.capture([
      ['k', value],
      ['k', null],
    ]);
  const cli = guardianCli(folder);
  const list = ['points', 'list', ...localStoreOptions(folder)];

  const told = await cli.run(list);
  assert.match(
    told.stdout,
    /^cluster prod, timeline 000001, begun .*: first\nnewest: revision 27 of .*; no gaps\n/,
  );
  assert.match(told.stdout, /^ ok +21 to 27 +\S+Z +\S+Z +\S.* 1 +3 \(.*\)$/m);

  const [, second = ''] = globSync('store/clusters/prod/timelines/*/chains/*/segments/*', {
    cwd: folder.path,
  }).sort();
  await rm(folder.join(second));
  const { timelines } = await cli.json(answer, list);
  assert.deepEqual(
    timelines[0]?.spans.map(({ kind, first, last }) => `${kind} ${first} ${last}`),
    ['break 24 27', 'restorable 21 23'],
  );
  assert.match((await cli.run(list)).stdout, /^>>> +24 to 27 .* BROKEN .* is gone, or was never written$/m);
  assert.match((await cli.run([...list, '--limit', '1'])).stdout, /^ {3}… and 1 older line \(--limit\)$/m);
});

test('where a clock was wrong, times are drawn as in doubt, and none is restored', async () => {
  await using folder = await temporaryFolder();
  const store = await capturedStore(folder);
  const at = (seconds: number): Date => new Date(store.epoch.getTime() + seconds * 1000);
  await store.capture([
    ['k', 'a'],
    ['k', 'b'],
    ['k', 'c'],
    ['k', 'd'],
  ]);
  await store.capture(
    [['k', 'e']],
    [
      { revision: 22n, before: at(22.5), after: at(82.5) },
      { revision: 24n, before: at(84.5), after: at(24.5) },
    ],
  );
  const cli = guardianCli(folder);
  const list = ['points', 'list', ...localStoreOptions(folder)];
  assert.match(
    (await cli.run(list)).stdout,
    /^\?\?\? times from \S+Z to \S+Z are IN DOUBT, revisions 23 to 26: the clock was ahead by 1 min 0 s until it was put right; restore by revision there$/m,
  );
  const doubtful = z.object({ timelines: z.array(z.object({ doubtfulTimes: z.array(z.looseObject({})) })) });
  const [timeline] = (await cli.json(doubtful, list)).timelines;
  assert.equal(timeline?.doubtfulTimes[0]?.kind, 'corrected');

  const verified = await cli.run(['points', 'verify', ...localStoreOptions(folder)]);
  assert.deepEqual([verified.status, /warning point.doubtful-time/.test(verified.stdout)], [0, true]);
  const status = await cli.run(['capture', 'status', ...localStoreOptions(folder)]);
  assert.match(
    status.stdout,
    /2 steps; the last time the clock was put back by 1 min 0 s behind revision 24/,
  );

  const target = [at(24).toISOString(), '--out', folder.join('point.db')];
  const refused = await cli.run(['points', 'export', ...localStoreOptions(folder), ...target]);
  assert.equal(refused.status, 4, refused.stderr);
  assert.match(refused.stderr, /isn't known for sure[^]*revision 24 [^]*revision 2[56] [^]*--to-revision/);
});

test('an empty store, and one from which nothing can be restored, are no success', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  const list = ['points', 'list', ...localStoreOptions(folder)];
  const empty = await cli.run([...list, '--cluster', 'prod']);
  assert.deepEqual(
    [empty.status, empty.stdout.startsWith('nothing of cluster prod')],
    [4, true],
    empty.stderr,
  );
  await capturedStore(folder);
  const [manifest = ''] = globSync('store/clusters/prod/timelines/*/chains/*/manifest.json', {
    cwd: folder.path,
  });
  await rm(folder.join(manifest));
  assert.match((await cli.run(list)).stdout, /\nNOTHING can be restored\n/);
  assert.equal((await cli.run(list)).status, 4);
});
