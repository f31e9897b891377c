import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { openRepository } from '../repository/open-repository.ts';
import { FaultInjectingStore, type FaultPlan } from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import { BUMP_MARGIN, type RestorePoint, type RestoreRequest } from './restore-plan.ts';
import { type RestoreRecording, type SettledPlan, settleRestore } from './settle-restore.ts';

const THREE = 'm1=http://m1:2380,m2=http://m2:2380,m3=http://m3:2380';

test('a second restore of one backup gets another token and a higher first revision', async () => {
  await using world = await restorableWorld();
  const [first, second] = [await world.settle('m1'), await world.settle('m1')];
  assert.notEqual(first.plan.token, second.plan.token);
  assert.equal(second.plan.bumpTo, (first.plan.bumpTo ?? 0n) + BUMP_MARGIN);
  assert.deepEqual([...first.warnings, ...second.warnings], []);
});

test('nodes agree, also one whose credentials only read; that is told', async () => {
  await using world = await restorableWorld();
  const first = await world.settle('m1');
  const reading = await world.settle('m2', {}, refusing('store.denied'));
  assert.deepEqual([reading.plan.token, reading.plan.bumpTo], [first.plan.token, first.plan.bumpTo]);
  assert.match(
    reading.warnings.join(),
    /the store can't be written, so restore 1 doesn't show that m2 is made/,
  );
});

for (const code of ['store.denied', 'store.full', 'store.unsupported']) {
  test(`where a restore can't be recorded (${code}), nodes agree by what they have in common`, async () => {
    await using world = await restorableWorld();
    const plans = [];
    for (const name of ['m1', 'm2', 'm3']) plans.push(await world.settle(name, {}, refusing(code)));
    assert.equal(new Set(plans.map(({ plan }) => plan.token)).size, 1);
    for (const { joined, warnings } of plans) {
      assert.equal(joined, undefined);
      assert.match(warnings.join(), /injected.* give a new --initial-cluster-token and --bump-to$/);
    }
  });
}

test('no warning where token and revision were asked for', async () => {
  await using world = await restorableWorld();
  const asked = { token: 'mine', bump: 10n ** 12n } as const;
  assert.deepEqual((await world.settle('m1', asked, refusing('store.denied'))).warnings, []);
  assert.match(
    (await world.settle('m1', { bump: 'none' }, 'unrecorded')).warnings.join(),
    /give a new --initial-cluster-token$/,
  );
});

test('a store that fails for now is not taken for one that only reads', async () => {
  await using world = await restorableWorld();
  const busy: FaultPlan = (operation) => (operation === 'putIfAbsent' ? { kind: 'refused' } : undefined);
  await assert.rejects(world.settle('m1', {}, busy), {
    code: 'store.busy',
    retryable: true,
    hint: /--no-record/,
  });
});

test('what a data dir or a revision forbids is found before anything is recorded', async () => {
  await using world = await restorableWorld();
  await assert.rejects(world.settle('m1', { bump: 1n }), { code: 'restore.bump' });
  await assert.rejects(world.settle('m1', {}, undefined, Number.MAX_SAFE_INTEGER), {
    code: 'restore.no-space',
  });
  await mkdir(world.request.dataDir);
  await writeFile(`${world.request.dataDir}/precious`, '');
  await assert.rejects(world.settle('m1'), { code: 'restore.data-dir-exists' });
  assert.deepEqual(await world.restoreNames(), []);
});

test('a restore that another one leaves unfinished is told, and can be finished', async () => {
  await using world = await restorableWorld();
  const [first] = [await world.settle('m1'), await world.settle('m2')];
  const apart = await world.settle('m1');
  assert.match(
    apart.warnings.join(),
    /restore 1 was left unfinished.* restore m2 again, or finish that one with --join-restore 1/,
  );
  const finished = await world.settle('m1', { number: 1 });
  assert.equal(finished.plan.token, first.plan.token);
});

function refusing(code: string): FaultPlan {
  const error = new GuardianError(code, `injected ${code}`);
  return (operation) => (operation === 'putIfAbsent' ? { kind: 'refused', error } : undefined);
}

interface World extends AsyncDisposable {
  readonly request: RestoreRequest;
  readonly settle: (
    name: string,
    some?: Partial<RestoreRequest & Pick<RestoreRecording, 'number'>>,
    plan?: FaultPlan | 'unrecorded',
    databaseBytes?: number,
  ) => Promise<SettledPlan>;
  readonly restoreNames: () => Promise<string[]>;
}

/** A backup, and a node that restores it. */
async function restorableWorld(): Promise<World> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const settings = repositorySettings(store, testKeys());
  const { repository, backup } = await repositoryWithBackup(settings);
  const { currentRevision } = backup.manifest.snapshot;
  const request: RestoreRequest = {
    ...{ dataDir: folder.join('etcd'), initialCluster: THREE, allMembers: false, bump: 'auto' },
  };
  return {
    request,
    settle: async (name, some = {}, plan = () => undefined, databaseBytes = 1000) => {
      const highWater = await repository.highWater('prod');
      const point: RestorePoint = { identity: backup.id, currentRevision, highWater };
      const asked = { ...request, name, ...some };
      if (plan === 'unrecorded') return settleRestore(asked, point, databaseBytes, undefined, undefined);
      const failing = await openRepository({ ...settings, store: new FaultInjectingStore(store, plan) });
      const recording = { repository: failing, backup, number: some.number, by: 'root@test' };
      return settleRestore(asked, point, databaseBytes, recording, undefined);
    },
    restoreNames: async () => {
      const names: string[] = [];
      for await (const { name } of store.list('clusters/prod/restores/')) names.push(name);
      return names;
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
