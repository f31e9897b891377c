import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isObjectName } from '../storage/object-name.ts';
import { isBackupId, newBackupId, timeOfBackupId } from './backup-id.ts';
import * as layout from './layout.ts';

const place = { cluster: '9f3ac1d0-uid', timeline: layout.timelineId(3), id: '20261122T053000Z-9f3ac1d0' };
const { cluster, timeline } = place;

test('names are parsed back into what they were made from', () => {
  const inTimeline = { cluster, timeline };
  const cases: [string, layout.NamedObject][] = [
    [layout.MARKER, { kind: 'marker' }],
    ['.probe/5f0c', { kind: 'probe' }],
    [layout.timelineName(cluster, timeline), { kind: 'timeline', ...inTimeline }],
    [layout.highWaterName(cluster, timeline, 42n), { kind: 'high-water', ...inTimeline }],
    [layout.highWaterName(cluster, timeline, 2n ** 63n - 1n), { kind: 'high-water', ...inTimeline }],
    [layout.restoreName(cluster, 7), { kind: 'restore', cluster, number: 7 }],
    [layout.restoreClaimName(cluster, 7, 'm1'), { kind: 'restore-claim', cluster, number: 7 }],
    [
      layout.restoreClaimName(cluster, 7, '../\u0000/ü'.repeat(99)),
      { kind: 'restore-claim', cluster, number: 7 },
    ],
    [layout.removalName(place, 2), { kind: 'removal', place, number: 2 }],
    [layout.manifestName(place), { kind: 'manifest', place }],
    [layout.baseName(place, true), { kind: 'content', place }],
    [layout.baseName(place, false), { kind: 'content', place }],
    [layout.attachmentName(place, 'pki.tar'), { kind: 'content', place }],
    [layout.segmentName(place, 42n), { kind: 'segment', place, follows: 42n }],
    [layout.segmentName(place, 2n ** 63n - 1n), { kind: 'segment', place, follows: 2n ** 63n - 1n }],
    [layout.trimName(place, 3), { kind: 'trim', place, number: 3 }],
  ];
  for (const [name, object] of cases) {
    assert.ok(isObjectName(name), name);
    assert.deepEqual(layout.parseName(name), object, name);
  }
});

test('names of others are not taken for ours', () => {
  const folder = layout.chainFolder(place);
  const names = [
    'backups/velero.json',
    'etcdguardian.json.bak',
    `${folder}manifest.json.bak`,
    `${folder}base.zst.gz`,
    `${folder}attachments/deep/er.zst.sealed`,
    `${layout.chainsFolder(cluster, timeline)}latest/manifest.json`,
    `${layout.chainsFolder(cluster, timeline)}20261322T053000Z-9f3ac1d0/manifest.json`,
    layout.timelineName(cluster, '3'),
    layout.restoreName(cluster, 7).replace('000007', '7'),
    `${layout.restoresFolder(cluster)}000007/members/m1.json`,
    `${layout.restoresFolder(cluster)}000007/notes.json`,
    `${layout.removalsFolder(cluster, timeline)}${place.id}/x.json`,
    `${layout.trimsFolder(cluster, timeline)}${place.id}/0001.json`,
    layout.segmentName(place, 42n).replace('.segment', '.segment.sealed'),
    layout.segmentName(place, 42n).replace('42.', '.'),
    layout.segmentName(place, 2n ** 63n),
  ];
  for (const name of names) assert.equal(layout.parseName(name), undefined, name);
});

test('the highest high-water mark is the first in the order of names', () => {
  const revisions = [9n, 10n, 3n, 123_456_789_012n, 0n, 2n ** 62n];
  const names = revisions.map((revision) => layout.highWaterName(cluster, timeline, revision)).sort();
  const sorted = names.map((name) => BigInt(/-([0-9]+)\.json$/.exec(name)?.[1] ?? 'none'));
  assert.deepEqual(sorted, [2n ** 62n, 123_456_789_012n, 10n, 9n, 3n, 0n]);
});

test('what comes after a folder is neither in it nor skipped', () => {
  const names = ['a-b/x', 'a.b/x', 'a/w', 'a/x/y', 'a0', 'a0/x', 'aa/x'];
  assert.deepEqual(names.toSorted(), names);
  assert.deepEqual(
    names.filter((name) => name > layout.afterFolder('a/') || name === 'a0'),
    ['a0', 'a0/x', 'aa/x'],
  );
});

test('names of clusters and attachments that would leave their folder are refused', () => {
  for (const name of ['', '.', '..', '../x', 'a/b', '-a', '.hidden', 'ä', 'a b', 'x'.repeat(129)]) {
    assert.throws(
      () => {
        layout.checkClusterName(name);
      },
      { code: 'repository.cluster-name' },
      name,
    );
    assert.throws(() => layout.attachmentName(place, name), { code: 'repository.attachment-name' }, name);
  }
  for (const name of ['prod', '0', 'eu-west.1_a', 'd6f5b1a4-8f5b-4c39-9f0e-1c5f8c8a2b11'])
    layout.checkClusterName(name);
});

test('an id tells its time, sorts by it, and is recognised', () => {
  const now = new Date('2026-11-22T05:30:00.987Z');
  const id = newBackupId(now, () => Uint8Array.of(0x9f, 0x3a, 0xc1, 0xd0));
  assert.equal(id, '20261122T053000Z-9f3ac1d0');
  assert.equal(timeOfBackupId(id).toISOString(), '2026-11-22T05:30:00.000Z');
  assert.ok(newBackupId(new Date('2027-01-01T00:00:00Z'), () => new Uint8Array(4)) > id);
  for (const text of [
    'latest',
    '20261122T053000Z',
    '20261332T053000Z-9f3ac1d0',
    `${id}0`,
    id.toUpperCase(),
  ]) {
    assert.ok(!isBackupId(text), text);
  }
});
