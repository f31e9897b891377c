import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { rejectsWith } from './conformance-writing.ts';
import { FaultInjectingStore, type FaultPlan } from './fault-injecting-store.ts';
import { LocalStore } from './local-store.ts';
import { probePutIfAbsent } from './put-if-absent-probe.ts';

async function probed(plan: FaultPlan): Promise<boolean> {
  await using folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  try {
    return await probePutIfAbsent(new FaultInjectingStore(local, plan));
  } finally {
    for await (const { name } of local.list('')) assert.fail(`the probe left ${name}`);
  }
}

test('a store that refuses the second writer passes', async () => {
  assert.equal(await probed(() => undefined), true);
});

test('a store that ignores the condition fails', async () => {
  assert.equal(
    await probed((operation) => (operation === 'putIfAbsent' ? { kind: 'overwrites' } : undefined)),
    false,
  );
});

test('a store that refuses in turn but lets several in at once fails', async () => {
  const plan: FaultPlan = (operation, call) =>
    operation === 'putIfAbsent' && call > 2 ? { kind: 'overwrites' } : undefined;
  assert.equal(await probed(plan), false);
});

test('a store that can not be written says why', async () => {
  const error = new GuardianError('store.denied', 'no');
  await rejectsWith(
    'store.denied',
    probed((operation) => (operation === 'putIfAbsent' ? { kind: 'refused', error } : undefined)),
  );
});
