import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSnapshotLocation, snapshotLocation } from './snapshot-location.ts';

const PLACE = { store: 's3://b/p', cluster: 'c-1', timeline: '000001', chain: '20261122T080000Z-00ff' };

test('a place is read back as it was written, with a revision or without', () => {
  for (const revision of [undefined, 7n, 2n ** 62n])
    assert.deepEqual(parseSnapshotLocation(snapshotLocation({ ...PLACE, revision })), { ...PLACE, revision });
  const local = { ...PLACE, store: 'file:///var/backups', revision: undefined };
  assert.deepEqual(parseSnapshotLocation(snapshotLocation(local)), local);
});

test('what leads elsewhere is no place', () => {
  const good = snapshotLocation({ ...PLACE, revision: undefined });
  const bad = [
    '',
    's3://b',
    `${good}?revision=x`,
    `${good}?endpoint=http://x`,
    `${good}/../x`,
    good.replace('c-1', '..'),
  ];
  for (const text of bad)
    assert.throws(() => parseSnapshotLocation(text), { code: 'controlplane.snapshot-location' }, text);
});
