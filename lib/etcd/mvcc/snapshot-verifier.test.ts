import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ForgedHistory, type ForgedSnapshot, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { hasCode } from '../../guardian-error.ts';
import type { SnapshotPassOptions } from './snapshot-pass.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';

function verify(
  file: Buffer,
  options: Partial<SnapshotPassOptions> = {},
  chunkSize = 100_000,
): SnapshotVerdict {
  const verifier = createSnapshotVerifier({ trailer: 'required', ...options });
  for (let at = 0; at < file.length; at += chunkSize) verifier.write(file.subarray(at, at + chunkSize));
  return verifier.finish();
}

async function verifyForged(forged: ForgedSnapshot): Promise<SnapshotVerdict> {
  return verify(await forgeSnapshot(forged));
}

function codes(verdict: SnapshotVerdict): string[] {
  return verdict.problems.map(({ code }) => code);
}

/** The history of which reference values are known: six puts, a delete, a put, a delete, a put. */
function knownHistory(): ForgedHistory {
  const history = new ForgedHistory();
  for (let n = 1; n <= 6; n++) history.put(`k${n}`, { value: `v${n}` });
  return history.delete('k2').put('k1', { value: 'v1b' }).delete('k3').put('k4', { value: 'v4b' });
}

test('HashKV of a known history is what etcd 3.4 and 3.5 answered', async () => {
  const whole = await verifyForged({ entries: knownHistory().entries });
  assert.deepEqual(whole.problems, []);
  assert.equal(whole.hashKVAt({ revision: 10n }), 1666487479);
  assert.equal(whole.hashKVAt({ revision: 11n, compactRevision: 10n }), 2631629460);
  assert.deepEqual(
    [whole.revision, whole.currentRevision, whole.compactRevision, whole.totalKeys],
    [11n, 11n, -1n, 4],
  );
  for (const keepTombstone of [true, false]) {
    const { entries } = knownHistory().compact(10n, keepTombstone);
    const compacted = await verifyForged({ entries, compacted: 10n });
    assert.deepEqual(compacted.problems, []);
    assert.equal(compacted.hashKV, 2631629460);
    assert.equal(compacted.compactRevision, 10n);
  }
});

test('HashKV is refused where the history does not reach', async () => {
  const { entries } = knownHistory().compact(10n);
  const verdict = await verifyForged({ entries, compacted: 10n });
  assert.throws(
    () => verdict.hashKVAt({ revision: 9n }),
    (error) => hasCode(error, 'mvcc.compacted'),
  );
  assert.throws(
    () => verdict.hashKVAt({ revision: 11n, compactRevision: 9n }),
    (error) => hasCode(error, 'mvcc.compacted'),
  );
  assert.throws(
    () => verdict.hashKVAt({ revision: 10n, compactRevision: 11n }),
    (error) => hasCode(error, 'mvcc.compacted'),
  );
  assert.throws(
    () => verdict.hashKVAt({ revision: 12n }),
    (error) => hasCode(error, 'mvcc.future-revision'),
  );
  assert.equal(typeof verdict.hashKVAt({ revision: 10n }), 'number');
});

test('every legal turn of a history is sound', async () => {
  const history = new ForgedHistory()
    .put('a')
    .put('b')
    .sameRevision()
    .put('c', { lease: 77n })
    .put('a')
    .delete('a')
    .sameRevision()
    .delete('b')
    .put('a', { value: '' })
    .put('a', { value: Buffer.alloc(20_000, 7) })
    .bump(1_000_000n)
    .put('d');
  const sizes = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
  for (const pageSize of sizes) {
    const verdict = await verifyForged({ entries: history.entries, leases: [77n], pageSize });
    assert.deepEqual([verdict.problems, verdict.warnings], [[], []], `${pageSize}`);
    assert.deepEqual([verdict.pageSize, verdict.totalKeys, verdict.revision], [pageSize, 4, 1_000_001n]);
  }
});

test('an empty store is sound, at revision 1', async () => {
  const verdict = await verifyForged({ entries: [] });
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual([verdict.revision, verdict.currentRevision, verdict.totalKeys], [0n, 1n, 0]);
});

test('a half-done compaction may have left anything at or below its revision', async () => {
  const history = new ForgedHistory()
    .put('a')
    .put('a')
    .delete('a')
    .put('b')
    .put('b')
    .put('c')
    .delete('c')
    .put('d');
  const entries = history.entries.slice(1);
  const verdict = await verifyForged({ entries, compacted: { scheduled: 8n } });
  assert.deepEqual(verdict.problems, []);
  assert.equal(verdict.compacting, true);
  assert.equal(verdict.compactRevision, 8n);
});

test('a bump that was not compacted yet counts as the current revision', async () => {
  const entries = new ForgedHistory().put('a').bump(1000n).entries;
  const verdict = await verifyForged({ entries, compacted: { scheduled: 1000n } });
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual([verdict.currentRevision, verdict.totalKeys], [1000n, 2]);
});

test('a live key whose lease is missing is a warning, a superseded one is nothing', async () => {
  const history = new ForgedHistory()
    .put('a', { lease: 5n })
    .put('b', { lease: 6n })
    .put('a')
    .put('c', { lease: -7n });
  const verdict = await verifyForged({ entries: history.entries, leases: [4n, 6n] });
  assert.equal(verdict.sound, true);
  assert.equal(verdict.orphanLeases, 1);
  assert.equal(verdict.leases, 2);
  assert.deepEqual(
    verdict.warnings.map(({ code, key }) => [code, key]),
    [['lease.orphan', '5_0']],
  );
});

test('entries are found by revision and sampled evenly, the same ones each time', async () => {
  const history = new ForgedHistory();
  for (let n = 0; n < 500; n++)
    history
      .put(`key-${n % 100}`)
      .sameRevision()
      .put(`other-${n}`, { value: Buffer.alloc(n) });
  history.delete('other-7').bump(2000n);
  const verdict = await verifyForged({ entries: history.entries });
  assert.deepEqual(verdict.problems, []);
  const samples = verdict.sampleLiveEntries(50);
  assert.equal(samples.length, 50);
  assert.deepEqual(verdict.sampleLiveEntries(50), samples);
  for (const { main, sub, checksum, size } of samples) {
    assert.deepEqual(verdict.entryAt({ main, sub }), { checksum, size, tombstone: false });
  }
  assert.equal(verdict.sampleLiveEntries(10_000).length, verdict.totalKeys - 1);
  assert.equal(verdict.entryAt({ main: 502n, sub: 0n })?.tombstone, true);
  assert.equal(verdict.entryAt({ main: 502n, sub: 1n }), undefined);
  assert.equal(verdict.entryAt({ main: 1n, sub: 0n }), undefined);
});

test('statistics tell what lives from what a compaction would remove', async () => {
  const history = new ForgedHistory()
    .put('pods/a')
    .put('pods/a')
    .put('nodes/x')
    .put('pods/b')
    .delete('nodes/x')
    .bump(99n);
  const names: string[] = [];
  const grouping = {
    groupOf(bytes: Buffer, start: number, end: number): number {
      const name = bytes.toString('latin1', start, end).split('/')[0] ?? '';
      if (!names.includes(name)) names.push(name);
      return names.indexOf(name);
    },
    nameOf: (group: number) => names[group] ?? '',
  };
  const file = await forgeSnapshot({ entries: history.entries });
  const { statistics } = verify(file, { grouping });
  const size = (index: number): number => {
    const [key, value] = history.entries[index] ?? [];
    return (key?.length ?? 0) + (value?.length ?? 0);
  };
  assert.deepEqual(statistics, [
    { name: 'pods', liveKeys: 2, liveBytes: size(1) + size(3), historyEntries: 1, historyBytes: size(0) },
    { name: 'nodes', liveKeys: 0, liveBytes: 0, historyEntries: 2, historyBytes: size(2) + size(4) },
  ]);
  assert.equal(verify(file).statistics, undefined);
});

test('the trailer is asked for, or only checked where it is there', async () => {
  const entries = knownHistory().entries;
  const file = await forgeSnapshot({ entries });
  const bare = await forgeSnapshot({ entries, trailer: false });
  assert.equal(verify(file).sha256, createHash('sha256').update(bare).digest('hex'));
  assert.deepEqual(codes(verify(bare)), ['file.trailer-missing']);
  assert.equal(verify(bare, { trailer: 'optional' }).sound, true);
  const wrong = Buffer.concat([bare, Buffer.alloc(32)]);
  assert.deepEqual(codes(verify(wrong, { trailer: 'optional' })), ['file.trailer-mismatch']);
  const slack = Buffer.concat([bare, Buffer.alloc(8192)]);
  assert.equal(verify(slack, { trailer: 'optional' }).sound, true);
});

test('bytes too few or too many are told', async () => {
  const file = await forgeSnapshot({ entries: knownHistory().entries });
  assert.deepEqual(codes(verify(file, { expectedSize: file.length + 1 })), ['file.size']);
  assert.equal(verify(file, { expectedSize: file.length }).sound, true);
  const surplus = Buffer.concat([file.subarray(0, -32), Buffer.alloc(512)]);
  const longer = Buffer.concat([surplus, createHash('sha256').update(surplus).digest()]);
  assert.deepEqual(codes(verify(longer)), ['file.size']);
});

test('chunks of any size give the same verdict', async () => {
  const history = new ForgedHistory();
  for (let n = 0; n < 300; n++) history.put(`key-${n % 70}`, { value: Buffer.alloc((n * 97) % 9000, n) });
  const file = await forgeSnapshot({ entries: history.entries });
  const plain = (verdict: SnapshotVerdict): object =>
    Object.fromEntries(Object.entries(verdict).filter(([, value]) => typeof value !== 'function'));
  const whole = plain(verify(file, {}, file.length));
  for (const chunkSize of [17, 1000, 4096, 4097, 32_768])
    assert.deepEqual(plain(verify(file, {}, chunkSize)), whole);
});
