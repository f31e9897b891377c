import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForgedHistory, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { testRandom } from '../../../test/harness/sampling.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';

function verify(file: Buffer, trailer: 'required' | 'optional'): SnapshotVerdict {
  const verifier = createSnapshotVerifier({ trailer });
  verifier.write(file);
  return verifier.finish();
}

/** A tree of three levels, overflow, inline buckets, a lease, tombstones: all in a few small pages. */
async function smallFile(trailer: boolean): Promise<Buffer> {
  const history = new ForgedHistory();
  for (let n = 0; n < 40; n++) history.put(`k${n % 12}`, { lease: n === 39 ? 77n : 0n });
  history
    .delete('k3')
    .put('large', { value: Buffer.alloc(1500, 3) })
    .put('k3');
  return forgeSnapshot({ entries: history.entries, leases: [77n], pageSize: 1024, trailer });
}

test('every flipped bit of a small snapshot is detected', async () => {
  const file = await smallFile(true);
  const random = testRandom('flips');
  assert.deepEqual(verify(file, 'required').problems, []);
  for (let at = 0; at < file.length; at++) {
    const before = file.readUInt8(at);
    file.writeUInt8(before ^ (1 << random.integer(0, 8)), at);
    assert.equal(verify(file, 'required').sound, false, `offset ${at}`);
    file.writeUInt8(before, at);
  }
});

test('no flipped byte without trailer is more than a verdict', async () => {
  const file = await smallFile(false);
  const random = testRandom('flips without trailer');
  let refused = 0;
  for (let at = 0; at < file.length; at++) {
    const before = file.readUInt8(at);
    file.writeUInt8(before ^ random.integer(1, 256), at);
    if (!verify(file, 'optional').sound) refused++;
    file.writeUInt8(before, at);
  }
  assert.ok(refused > 1000, `${refused} of ${file.length}`);
});

test('every truncation is detected', async () => {
  const file = await smallFile(true);
  for (let length = 0; length < file.length; length += length % 512 === 0 ? 32 : 480) {
    const { problems } = verify(file.subarray(0, length), 'required');
    assert.ok(problems.length > 0, `${length}`);
    if (length > 2048 && length < file.length - 32)
      assert.ok(
        problems.some(({ code }) => code === 'file.truncated'),
        `${length}`,
      );
  }
});

test('random garbage of any kind and size gets a verdict', async () => {
  const random = testRandom('garbage');
  const file = await smallFile(false);
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(file);
    for (let n = random.integer(1, 40); n > 0; n--) {
      const at = random.integer(160, bytes.length - 8);
      const junk = random.pick([
        random.bytes(8),
        Buffer.alloc(8),
        Buffer.alloc(8, 0xff),
        file.subarray(at & ~15, (at & ~15) + 8),
      ]);
      Buffer.from(junk).copy(bytes, at & ~random.pick([0, 3, 7, 15]));
    }
    verify(bytes, 'optional');
  }
  for (const size of [0, 1, 31, 32, 100, 4096, 300_000]) {
    const [first] = verify(Buffer.from(random.bytes(size)), 'optional').problems;
    assert.equal(first?.code, 'bolt.no-meta');
  }
});
