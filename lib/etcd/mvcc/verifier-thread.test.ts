import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForgedHistory, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { groupingOfOne } from '../../../test/harness/key-groupings.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import { startVerifierThread, type VerifierThread } from './verifier-thread.ts';

async function largeSnapshot(): Promise<Buffer> {
  const history = new ForgedHistory();
  for (let n = 0; n < 1500; n++) history.put(`key-${n % 400}`, { value: Buffer.alloc((n * 31) % 9000, n) });
  return forgeSnapshot({ entries: history.entries });
}

async function writeAll(thread: VerifierThread, file: Buffer, chunkSize: number): Promise<void> {
  // One buffer for all chunks: it must be ours again after each write.
  const chunk = Buffer.alloc(chunkSize);
  for (let at = 0; at < file.length; at += chunkSize) {
    const length = file.copy(chunk, 0, at, at + chunkSize);
    await thread.write(chunk.subarray(0, length));
  }
}

const groupings = new URL('../../../test/harness/key-groupings.ts', import.meta.url);

test('the thread says what the same pass in this thread says', async () => {
  const file = await largeSnapshot();
  const valuePrefixes = { marker: '\u0007'.repeat(4), fields: 1 };
  const local = createSnapshotVerifier({ trailer: 'required', grouping: groupingOfOne(), valuePrefixes });
  local.write(file);
  const expected = local.finish();
  assert.equal(expected.sound, true);
  assert.equal(expected.valuePrefixes?.length, 1);
  for (const chunkSize of [32 * 1024, 1 << 20, 3_000_001]) {
    await using thread = startVerifierThread({
      ...{ trailer: 'required', valuePrefixes },
      grouping: { module: groupings, factory: 'groupingOfOne' },
    });
    await writeAll(thread, file, chunkSize);
    const verdict = await thread.finish();
    for (const [name, value] of Object.entries(verdict)) {
      assert.deepEqual(value, expected[name as keyof typeof verdict], name);
    }
    assert.deepEqual(await thread.finish(), verdict);
    const point = { revision: 700n, compactRevision: 500n };
    assert.equal(await thread.hashKVAt(point), expected.hashKVAt(point));
    assert.deepEqual(
      await thread.entryAt({ main: 700n, sub: 0n }),
      expected.entryAt({ main: 700n, sub: 0n }),
    );
    assert.equal(await thread.entryAt({ main: 9999n, sub: 0n }), undefined);
    assert.deepEqual(await thread.sampleLiveEntries(7), expected.sampleLiveEntries(7));
    await assert.rejects(thread.hashKVAt({ revision: 5000n }), { code: 'mvcc.future-revision' });
    assert.equal((await thread.finish()).revision, verdict.revision, 'a refused question harms nothing');
  }
});

for (const [how, factory] of [
  ['throws', 'dyingGrouping'],
  ['exits', 'leavingGrouping'],
] as const) {
  test(`a thread that ${how} fails every call and hangs none`, async () => {
    const file = await largeSnapshot();
    await using thread = startVerifierThread({
      trailer: 'required',
      grouping: { module: groupings, factory },
    });
    const endless = async (): Promise<void> => {
      for (;;) await thread.write(file);
    };
    await assert.rejects(endless(), { code: 'thread.died' });
    await assert.rejects(thread.finish(), { code: 'thread.died' });
    await assert.rejects(thread.entryAt({ main: 2n, sub: 0n }), { code: 'thread.died' });
  });
}

test('a grouping that does not exist fails the thread in words', async () => {
  await using thread = startVerifierThread({
    trailer: 'required',
    grouping: { module: groupings, factory: 'nobody' },
  });
  await assert.rejects(thread.finish(), /exports no function nobody/);
});

test('a thread that is disposed of mid-stream lets go of whoever writes', async () => {
  const file = await largeSnapshot();
  const thread = startVerifierThread({ trailer: 'required' });
  await thread.write(file);
  const asked = thread.finish();
  asked.catch(() => undefined);
  await thread[Symbol.asyncDispose]();
  await assert.rejects(thread.write(file), { code: 'thread.died' });
  await asked.catch((error: unknown) => {
    assert.match(String(error), /it was ended/);
  });
});
