import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ForgedHistory, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { groupingOfOne } from '../../../test/harness/key-groupings.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import type { LivePrefix, SnapshotVerdict } from './snapshot-verdict.ts';
import { verifySnapshotFile } from './verify-snapshot-file.ts';

const ENCRYPTED = { marker: 'k8s:enc:', fields: 3 };

async function censusOf(history: ForgedHistory): Promise<readonly LivePrefix[] | undefined> {
  return verdictOf(await forgeSnapshot({ entries: history.entries })).valuePrefixes;
}

function verdictOf(file: Buffer, more: object = { valuePrefixes: ENCRYPTED }): SnapshotVerdict {
  const verifier = createSnapshotVerifier({ trailer: 'required', ...more });
  for (let at = 0; at < file.length; at += 10_000) verifier.write(file.subarray(at, at + 10_000));
  return verifier.finish();
}

test('live values are counted by their prefix, with and without groups', async () => {
  const history = new ForgedHistory()
    .put('a', { value: 'k8s:enc:kms:v2:vault:\u0000\u0001' })
    .put('b', { value: 'k8s:enc:aescbc:v1:key1:xyz' })
    .put('c', { value: 'k8s:enc:kms:v2:vault:other:bytes' })
    .put('d', { value: 'k8s\u0000protobuf' })
    .put('e', { value: Buffer.alloc(20_000, 'k8s:enc:kms:v2:vault:') })
    .put('f', { value: '' })
    .put('g', { value: 'k8' });
  const expected = [
    { prefix: 'k8s:enc:kms:v2:vault:', liveKeys: 3 },
    { prefix: 'k8s:enc:aescbc:v1:key1:', liveKeys: 1 },
  ];
  assert.deepEqual(await censusOf(history), expected);
  const file = await forgeSnapshot({ entries: history.entries });
  const grouped = verdictOf(file, { valuePrefixes: ENCRYPTED, grouping: groupingOfOne() });
  assert.deepEqual(grouped.valuePrefixes, expected);
  assert.deepEqual(grouped.statistics, verdictOf(file, { grouping: groupingOfOne() }).statistics);
  assert.equal(verdictOf(file, {}).valuePrefixes, undefined);
  await using folder = await temporaryFolder();
  await writeFile(folder.join('snapshot.db'), file);
  const options = { trailer: 'required', valuePrefixes: ENCRYPTED } as const;
  assert.deepEqual((await verifySnapshotFile(folder.join('snapshot.db'), options)).valuePrefixes, expected);
});

test('what was superseded or deleted needs nothing any more', async () => {
  const old = { value: 'k8s:enc:aescbc:v1:old:x' };
  const history = new ForgedHistory()
    .put('a', old)
    .put('b', old)
    .put('c', old)
    .put('a', { value: 'k8s:enc:aescbc:v1:new:x' })
    .delete('b')
    .put('c');
  assert.deepEqual(await censusOf(history), [{ prefix: 'k8s:enc:aescbc:v1:new:', liveKeys: 1 }]);
});

test('values that only begin like one are counted under the marker', async () => {
  const history = new ForgedHistory()
    .put('cut off', { value: 'k8s:enc:' })
    .put('too few', { value: 'k8s:enc:kms:v2' })
    .put('endless', { value: `k8s:enc:${'a'.repeat(600)}:b:c:` })
    .put('other', { value: 'k8s:enx:kms:v2:vault:' });
  assert.deepEqual(await censusOf(history), [{ prefix: 'k8s:enc:', liveKeys: 3 }]);
});

test('hostile values make no more than 64 prefixes', async () => {
  const history = new ForgedHistory();
  for (let n = 0; n < 300; n++) history.put(`key-${n}`, { value: `k8s:enc:kms:v2:${n}:` });
  const census = (await censusOf(history)) ?? [];
  assert.deepEqual(census.at(0), { prefix: 'k8s:enc:', liveKeys: 300 - 64 });
  assert.deepEqual(census.length, 65);
  assert.equal(census.at(-1)?.prefix, 'k8s:enc:kms:v2:63:');
});
