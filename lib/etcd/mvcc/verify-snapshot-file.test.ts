import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ForgedHistory, forgeSnapshot } from '../../../test/harness/forged-snapshot.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import { verifySnapshotFile } from './verify-snapshot-file.ts';

async function snapshotOf(entries: number, size: number): Promise<Buffer> {
  const history = new ForgedHistory();
  for (let n = 0; n < entries; n++)
    history.put(`key-${n % 500}`, { value: Buffer.alloc((n * 7919) % size, n) });
  return forgeSnapshot({ entries: history.entries });
}

test('a file of any size is verified, not changed, and its progress told', async () => {
  await using folder = await temporaryFolder();
  for (const [entries, size] of [
    [0, 1],
    [300, 100],
    [3000, 20_000], // large enough for the second thread
  ] as const) {
    const bytes = await snapshotOf(entries, size);
    const path = folder.join(`${entries}.db`);
    await writeFile(path, bytes);
    const progress: number[] = [];
    const verdict = await verifySnapshotFile(path, {
      trailer: 'required',
      onProgress: (done, total) => {
        assert.equal(total, bytes.length);
        progress.push(done);
      },
    });
    const local = createSnapshotVerifier({ trailer: 'required' });
    local.write(bytes);
    const expected = local.finish();
    assert.deepEqual(verdict.problems, []);
    assert.deepEqual(
      [verdict.sha256, verdict.hash, verdict.hashKV],
      [expected.sha256, expected.hash, expected.hashKV],
    );
    assert.equal(progress.at(-1), bytes.length);
    assert.deepEqual(
      progress,
      [...progress].sort((a, b) => a - b),
    );
    assert.equal(verdict.sha256, createHash('sha256').update(bytes.subarray(0, -32)).digest('hex'));
    assert.ok(bytes.equals(await readFile(path)));
  }
});

test('pages beyond the memory limit are read once more, and a stream says that it cannot', async () => {
  await using folder = await temporaryFolder();
  const bytes = await snapshotOf(2000, 4000);
  const path = folder.join('many.db');
  await writeFile(path, bytes);
  const whole = await verifySnapshotFile(path, { trailer: 'required' });
  const limited = await verifySnapshotFile(path, { trailer: 'required', maxRecordBytes: 30_000 });
  assert.deepEqual(limited.problems, []);
  assert.deepEqual(
    [limited.hash, limited.hashKV, limited.totalKeys],
    [whole.hash, whole.hashKV, whole.totalKeys],
  );
  const stream = createSnapshotVerifier({ trailer: 'required', maxRecordBytes: 30_000 });
  stream.write(bytes);
  assert.deepEqual([...new Set(stream.finish().problems.map(({ code }) => code))], ['verify.page-skipped']);
  const tooMany = await verifySnapshotFile(path, { trailer: 'required', maxRecordBytes: 12_000 });
  assert.deepEqual([...new Set(tooMany.problems.map(({ code }) => code))], ['verify.page-skipped']);
});

test('a truncated file is told as such', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('cut.db');
  await writeFile(path, await snapshotOf(3000, 20_000));
  await truncate(path, 20 << 20);
  const { problems } = await verifySnapshotFile(path, { trailer: 'required' });
  assert.ok(problems.some(({ code }) => code === 'file.trailer-missing'));
  assert.ok(problems.some(({ code }) => code === 'file.truncated'));
});

test('what cannot be read is an error, not a verdict', async () => {
  await using folder = await temporaryFolder();
  const options = { trailer: 'required' } as const;
  await assert.rejects(verifySnapshotFile(folder.join('nothing'), options), { code: 'disk.not-found' });
  await assert.rejects(verifySnapshotFile(folder.path, options), { code: 'disk.not-found' });
});

test('a signal stops it with its reason', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('large.db');
  await writeFile(path, await snapshotOf(3000, 20_000));
  const reason = new Error('enough');
  const controller = new AbortController();
  const onProgress = (): void => {
    controller.abort(reason);
  };
  const stopped = verifySnapshotFile(path, { trailer: 'required', signal: controller.signal, onProgress });
  await assert.rejects(stopped, reason);
});
