import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { encodeKeyValue, encodeTombstone } from '../etcd/mvcc/key-value.ts';
import type { KeyChange } from '../etcd/mvcc/history.ts';
import { LocalStore } from '../storage/local-store.ts';
import { repositorySettings, repositoryWithBackup } from '../../test/harness/repository.ts';
import { CAPTURE } from '../../test/harness/segments.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import type { ChainTail } from './chain.ts';
import { type CapturedChange, capturedChanges, changesInBase } from './key-history.ts';
import { type RestorableRange, spansOf } from './point-spans.ts';
import type { Repository } from './repository.ts';
import { startSegment } from './start-segment.ts';
import { readBases, readTimelineContent } from './timeline-content.ts';

const KEY = Buffer.from('/registry/configmaps/default/config-00003');
const OTHER = Buffer.from('/registry/configmaps/default/config-000031');

test('a key’s changes are found in segments and in the base, with values, deletions and times', async () => {
  await using folder = await temporaryFolder();
  const made = await madeHistory(folder);
  const { range, base, repository, place } = made;

  const captured: CapturedChange[] = [];
  for await (const change of capturedChanges(repository.segments, place, range, KEY)) captured.push(change);
  assert.deepEqual(captured.map(told), ['22 second', '24 deleted', '25 third']);
  assert.deepEqual(
    captured.map(({ seenAt }) => seenAt.getTime() - made.start),
    [22_000, 24_000, 25_000],
  );

  const before: KeyChange[] = [];
  for await (const change of changesInBase(repository, base, KEY, folder.join('base.db')))
    before.push(change);
  assert.deepEqual(before.map(told), ['5 value 3 of the first history']);
  assert.deepEqual(await readdir(folder.path), ['store'], 'nothing is left behind');
});

test('a base that can’t be read leaves nothing behind', async () => {
  await using folder = await temporaryFolder();
  const { repository, base } = await madeHistory(folder);
  const gone = { ...base, manifest: { ...base.manifest, base: { ...base.manifest.base, name: 'gone' } } };
  const reading = changesInBase(repository, gone, KEY, folder.join('base.db')).next();
  await assert.rejects(reading, { code: 'repository.missing' });
  assert.deepEqual(await readdir(folder.path), ['store']);
});

function told({ main, put }: KeyChange): string {
  return `${main} ${put === undefined ? 'deleted' : put.value.toString()}`;
}

async function madeHistory(folder: TemporaryFolder): Promise<{
  repository: Repository;
  base: RestorableRange['bases'][number];
  range: RestorableRange;
  place: { cluster: string; timeline: string };
  start: number;
}> {
  const settings = repositorySettings(new LocalStore(folder.join('store')));
  const { repository, backup } = await repositoryWithBackup(settings);
  const start = Date.now() + 60_000;
  let tail = repository.segments.tailOf(backup);
  tail = await append(repository, tail, start, [[KEY, 'second'], [OTHER, 'x'], [KEY]]);
  await append(repository, tail, start, [[KEY, 'third'], [OTHER]]);
  const place = { cluster: backup.cluster, timeline: backup.timeline };
  const { bases } = await readBases(settings, place.cluster, place.timeline, undefined);
  const content = await readTimelineContent(settings, repository.segments, place, bases);
  const [range] = spansOf(content);
  assert.ok(range?.kind === 'range');
  return { repository, base: backup, range, place, start };
}

/** One revision for each change, seen as many seconds after the start as the revision says. */
async function append(
  repository: Repository,
  tail: ChainTail,
  start: number,
  changes: readonly (readonly [key: Buffer, value?: string])[],
): Promise<ChainTail> {
  let revision = tail.revision;
  const clock = (): Date => new Date(start + Number(revision) * 1000);
  const segment = startSegment({ from: tail.revision, writer: CAPTURE, clock });
  for (const [key, value] of changes) {
    revision++;
    const record = { createRevision: revision, modRevision: revision, version: 1n, lease: 0n };
    const put =
      value === undefined ? undefined : encodeKeyValue({ key, value: Buffer.from(value), ...record });
    segment.add(revision, put ?? encodeTombstone(key), put === undefined);
    segment.endRevision();
  }
  const leases = { complete: true, granted: [], gone: [] };
  return repository.segments.append(tail, await segment.finish({ leases, proofs: [], gap: undefined }));
}
