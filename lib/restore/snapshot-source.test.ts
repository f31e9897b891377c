import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { hasCode } from '../guardian-error.ts';
import { judgedSnapshot, type SnapshotSource } from './snapshot-source.ts';

const { bytes, facts } = await smallSnapshot();
const EXPECTED = {
  sha256: facts.sha256,
  currentRevision: facts.currentRevision,
  hashKV: facts.hashKV.hash,
};

function source(some: Partial<SnapshotSource> = {}, content: Buffer = bytes): SnapshotSource {
  return {
    ...{ label: 'backup 1', open: () => chunksOf(content, 5000), size: facts.totalSize, trailer: 'required' },
    ...{ expected: EXPECTED, ...some },
  };
}

test('sound bytes pass as they are, and are judged at their end', async () => {
  await using snapshot = judgedSnapshot(source(), undefined);
  assert.throws(() => snapshot.verdict(), /backup 1 was not read to its end/);
  assert.deepEqual(await collectBytes(snapshot.bytes), bytes);
  const verdict = snapshot.verdict();
  assert.deepEqual([verdict.sound, verdict.hashKV, verdict.valuePrefixes], [true, facts.hashKV.hash, []]);
  const point = { revision: verdict.currentRevision, compactRevision: verdict.currentRevision };
  assert.equal(typeof (await snapshot.hashKVAt(point)), 'number');
});

test('a bare file has only its trailer to vouch for it, and a database not even that', async () => {
  await using bare = judgedSnapshot(source({ expected: undefined }), undefined);
  assert.equal((await collectBytes(bare.bytes)).length, bytes.length);
  const database = bytes.subarray(0, -32);
  await using untailed = judgedSnapshot(source({ trailer: 'optional' }, database), undefined);
  assert.equal((await collectBytes(untailed.bytes)).length, database.length);
});

const flipped = Buffer.from(bytes);
flipped.writeUInt8(flipped.readUInt8(9_000) ^ 1, 9_000);

const REFUSED: readonly (readonly [string, SnapshotSource, RegExp])[] = [
  ['a flipped bit', source({}, flipped), /backup 1 can't be restored/],
  ['a missing trailer', source({}, bytes.subarray(0, -32)), /does not end in a SHA-256/],
  ['half of it', source({}, bytes.subarray(0, bytes.length / 2)), /can't be restored/],
  ['nothing at all', source({}, Buffer.alloc(0)), /can't be restored/],
  [
    'another sha256',
    source({ expected: { ...EXPECTED, sha256: 'a'.repeat(64) } }),
    /its sha256 is .* says a/,
  ],
  [
    'another revision',
    source({ expected: { ...EXPECTED, currentRevision: 9n } }),
    /its revision is \d+, .* says 9/,
  ],
  ['another HashKV', source({ expected: { ...EXPECTED, hashKV: 1 } }), /its HashKV is \d+, .* says 1/],
];

for (const [what, refused, told] of REFUSED) {
  test(`refused at the end, so that nobody keeps the bytes: ${what}`, async () => {
    await using snapshot = judgedSnapshot(refused, undefined);
    await assert.rejects(
      collectBytes(snapshot.bytes),
      (error) => hasCode(error, 'restore.unsound') && told.test(error.message) && error.hint !== undefined,
    );
    assert.throws(() => snapshot.verdict(), /not read to its end/);
  });
}

test('what the source says comes through, and its iteration gets the signal', async () => {
  const stop = new AbortController();
  const seen: (AbortSignal | undefined)[] = [];
  const failing: SnapshotSource['open'] = (signal) => {
    seen.push(signal);
    return (async function* () {
      yield await Promise.resolve(bytes.subarray(0, 9000));
      throw new Error('the store is gone');
    })();
  };
  await using snapshot = judgedSnapshot(source({ open: failing }), stop.signal);
  await assert.rejects(collectBytes(snapshot.bytes), /the store is gone/);
  assert.deepEqual(seen, [stop.signal]);
});
