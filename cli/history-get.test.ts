import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { type CapturedStore, capturedStore } from '../test/harness/captured-store.ts';
import { type GuardianCli, guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../test/harness/temporary-folder.ts';

const KEY = '/registry/secrets/shop/db';
const OLD = '/registry/configmaps/default/config-00003';

const answer = z.object({
  versions: z.array(z.looseObject({ revision: z.string(), what: z.string(), seenAt: z.string().nullable() })),
  complete: z.boolean(),
});

function secret(password: string): string {
  return JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db', namespace: 'shop', uid: 'u-1' } },
    data: { password },
  });
}

async function world(folder: TemporaryFolder): Promise<{
  store: CapturedStore;
  cli: GuardianCli;
  get: (...args: string[]) => string[];
}> {
  const store = await capturedStore(folder);
  await store.capture([
    [KEY, secret('first')],
    ['/other', 'x'],
    [KEY, secret('second')],
  ]);
  await store.capture([
    [KEY, null],
    [OLD, 'changed'],
    [OLD, null],
  ]);
  const cli = guardianCli(folder);
  const get = (...args: string[]): string[] => ['history', 'get', ...args, ...localStoreOptions(folder)];
  return { store, cli, get };
}

test('what became of a key is told, up to its deletion and how to have it back', async () => {
  await using folder = await temporaryFolder();
  const { cli, get } = await world(folder);
  const { versions, complete } = await cli.json(answer, get(KEY));
  assert.deepEqual(
    versions.map(({ revision, what }) => `${revision} ${what}`),
    ['22 created', '24 changed', '25 deleted'],
  );
  assert.equal(complete, true);
  const told = await cli.run(get(KEY));
  assert.match(told.stdout, /^\/registry\/secrets\/shop\/db {2}\(secrets shop\/db\)\nREVISION/);
  assert.match(told.stdout, /^24 +\S+Z +changed +2 +\d+ B +Secret shop\/db, uid u-1$/m);
  assert.match(
    told.stdout,
    /^It is gone since revision 25: "restore --to-revision 24" has it back\. .*audit log/m,
  );
  assert.equal(told.stdout.includes('second'), false, 'values are told only when asked for');
});

test('what a key was at a time is told, with its value', async () => {
  await using folder = await temporaryFolder();
  const { store, cli, get } = await world(folder);
  const at = new Date(store.epoch.getTime() + 23_500).toISOString();
  const told = await cli.run(get(KEY, '--at', at, '--values'));
  assert.match(told.stdout, /\n--- revision 22: created, .*\n\{\n(.*\n)* +"password": "first"\n/);
  assert.equal(told.stdout.includes('second'), false);
  const before = await cli.run(get(KEY, '--at', store.epoch.toISOString(), '--no-bases'));
  assert.deepEqual([before.status, before.stdout.includes('nothing is known of it up to')], [4, true]);
});

test('what was there before the capture comes from the base, unless that is too much', async () => {
  await using folder = await temporaryFolder();
  const { cli, get } = await world(folder);
  const { versions, complete } = await cli.json(answer, get(OLD, '--work-dir', folder.path));
  assert.deepEqual(
    versions.map(({ revision, what, seenAt }) => [revision, what, seenAt === null]),
    [
      ['5', 'created', true],
      ['26', 'changed', false],
      ['27', 'deleted', false],
    ],
  );
  assert.equal(complete, true);
  const captured = await cli.json(answer, get(OLD, '--no-bases', '--limit', '1'));
  assert.deepEqual(
    captured.versions.map(({ revision }) => revision),
    ['27'],
  );
});

test('a key that never was, and one that can’t be read, are told', async () => {
  await using folder = await temporaryFolder();
  const { cli, get } = await world(folder);
  const nothing = await cli.run(get('hex:00ff', '--work-dir', folder.path));
  assert.deepEqual([nothing.status, nothing.stdout], [4, 'hex:00ff: nothing is known of it\n']);
  await cli.fails(2, 'usage.key', get('hex:0'));
  await cli.fails(2, 'usage.time', get(KEY, '--at', 'lunch'));
  await cli.fails(4, 'repository.not-found', get(KEY, '--timeline', '000009'));
});
