import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeVersions } from './version-rules.ts';

const NONE = {};
const DOWN = (clusterVersion: string): object => ({ dropStorageVersion: true, clusterVersion });

for (const [clusterVersion, storageVersion, target, verdict, edits, reason] of [
  ['3.4.0', undefined, '3.4.23', 'fine', NONE, /3\.4 itself/],
  ['3.4.0', undefined, '3.5.35', 'fine', NONE, /upgrade of one minor/],
  ['3.5.0', undefined, '3.6', 'fine', NONE, /upgrade of one minor/],
  ['3.6.0', '3.6.0', '3.7.3', 'fine', NONE, /upgrade of one minor/],
  ['3.5.0', undefined, '3.4.23', 'warn', DOWN('3.4.0'), /downgrade/],
  ['3.6.0', '3.6.0', '3.5.35', 'warn', DOWN('3.5.0'), /downgrade/],
  ['3.7.0', '3.7.0', '3.6.16', 'warn', DOWN('3.6.0'), /downgrade/],
  ['3.4.0', undefined, '3.6.16', 'refuse', NONE, /skips minor versions: restore into 3\.5/],
  ['3.7.0', '3.7.0', '3.5.35', 'refuse', NONE, /skips minor versions: restore into 3\.6/],
  ['3.3.0', undefined, '3.5.35', 'refuse', NONE, /of etcd 3\.3/],
  ['3.8.0', '3.8.0', '3.7.3', 'refuse', NONE, /of etcd 3\.8/],
  ['3.6.0', '3.6.0', '4.0.0', 'refuse', NONE, /etcd 4\.0 is not/],
  ['3.6.0', '3.6.0', 'latest', 'refuse', NONE, /no version/],
  [undefined, '3.6.0', '3.6.16', 'fine', NONE, /3\.6 itself/],
  [undefined, undefined, '3.6.16', 'warn', NONE, /does not say/],
  ['gibberish', undefined, '3.6.16', 'warn', NONE, /does not say/],
] as const) {
  test(`a file of ${clusterVersion ?? 'nobody'} into ${target}: ${verdict}`, () => {
    const judged = judgeVersions({ clusterVersion, storageVersion }, target);
    assert.equal(judged.verdict, verdict);
    assert.deepEqual(judged.edits, edits);
    assert.match(judged.reason, reason);
  });
}
