import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../../test/harness/run-program.ts';
import { startS3Server } from '../../test/harness/s3.ts';
import { startProcess } from '../../test/harness/server-process.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs } from '../../test/harness/tools.ts';
import { digest, MIB, stampedBody } from './conformance-bytes.ts';
import { assertAbsent } from './conformance-writing.ts';
import { LocalStore } from './local-store.ts';
import type { ObjectStore } from './object-store.ts';
import { bucketSettings } from './s3-store.fixture.ts';
import { S3Store } from './s3-store.ts';
import type { StoreSettings } from './store-url.ts';
import type { UploadReport, UploadTask } from './upload-process.fixture.ts';

const FUTURE = new Date('2100-01-01T00:00:00Z');
const BYTES = process.env.TEST_MATRIX === '1' ? 2048 * MIB : 256 * MIB;
const fixture = join(import.meta.dirname, 'upload-process.fixture.ts');

async function upload(task: UploadTask): Promise<UploadReport> {
  return JSON.parse(await runProgram(process.execPath, [fixture, JSON.stringify(task)])) as UploadReport;
}

async function killedMidway(settings: StoreSettings, store: ObjectStore): Promise<void> {
  const task: UploadTask = { settings, name: 'killed', bytes: 64 * MIB, pauseAfter: 30 * MIB };
  await using uploading = await startProcess(process.execPath, [fixture, JSON.stringify(task)]);
  await uploading.line(/paused/);
  await uploading.kill();
  await assertAbsent(store, 'killed');
  assert.equal(await store.sweepStaleUploads(new Date(Date.now() - 3_600_000)), 0);
  assert.equal(await store.sweepStaleUploads(FUTURE), 1);
  await store.put('killed', stampedBody(10));
}

test('memory stays flat while a large object goes to a bucket', needs('versitygw'), async (t) => {
  await using server = await startS3Server();
  await server.createBucket('backups');
  const settings = bucketSettings(server);
  const { rssBefore, rssMost, outcome, seconds, cpuSeconds } = await upload({
    settings,
    name: 'large',
    bytes: BYTES,
  });
  assert.equal(outcome, 'ok');
  const grown = (rssMost - rssBefore) / MIB;
  t.diagnostic(
    `RSS +${grown.toFixed(0)} MiB, ${(BYTES / MIB / seconds).toFixed(0)} MiB/s, CPU ${cpuSeconds.toFixed(2)} s`,
  );
  assert.ok(grown < 64, `RSS grew by ${grown.toFixed(0)} MiB`);
  const stored = await digest(new S3Store(settings).get('large'));
  assert.deepEqual(stored, await digest(stampedBody(BYTES)));
});

test(
  'a process killed in mid-upload leaves nothing but what a sweep removes',
  needs('versitygw'),
  async () => {
    await using server = await startS3Server();
    await server.createBucket('backups');
    const settings = bucketSettings(server);
    await killedMidway(settings, new S3Store(settings));
    await using folder = await temporaryFolder();
    await killedMidway({ kind: 'local', folder: folder.path }, new LocalStore(folder.path));
  },
);
