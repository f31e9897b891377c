import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../../../test/harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { startHttpProxy } from '../../../test/harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../../../test/harness/s3.ts';
import { testRandom } from '../../../test/harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { needs } from '../../../test/harness/tools.ts';
import { systemClock } from '../../clock.ts';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { connectEtcd } from '../../etcd/client/connect-etcd.ts';
import { type BackupTask, type BackupTaskTools, runBackupTask } from './run-backup-task.ts';
import type { TaskProgress } from './task-steps.ts';

describe('a backup task', needs('etcd 3.6.16', 'versitygw'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let s3: S3Server;
  const stack = new AsyncDisposableStack();
  const client = (): EtcdClient => stack.use(connectEtcd({ endpoints: [etcd.endpoint] }));

  before(async () => {
    folder = stack.use(await temporaryFolder());
    etcd = stack.use(await startEtcd());
    s3 = stack.use(await startS3Server());
    await s3.createBucket('backups');
    await fillWithNoise(etcd, 2, testRandom('a backup task'));
  });
  after(() => stack.disposeAsync());

  const task = (prefix: string, changes: Partial<BackupTask> = {}): BackupTask => ({
    operation: `of-${prefix}`,
    mode: 'FULL',
    repository: {
      location: { provider: 'S3', bucket: 'backups', prefix, region: s3.region, endpoint: s3.endpoint },
      secret: {
        values: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
        from: 'Secret x/s3',
      },
      keys: { encryption: Buffer.alloc(32, 7), encryptionFrom: 'Secret x/key', signing: Buffer.alloc(0) },
    },
    cluster: 'test',
    proof: 'IfPossible',
    retainUntil: undefined,
    requester: { username: 'alice', groups: ['admins'] },
    labels: { schedule: 'nightly' },
    etcdClusterId: undefined,
    ...changes,
  });
  const tools = (seen: TaskProgress[] = [], changes: Partial<BackupTaskTools> = {}): BackupTaskTools => ({
    client: client(),
    clock: systemClock,
    spool: { folder: folder.path, memoryBytes: 1 << 20, diskBytes: 1 << 24 },
    knownPoints: folder.join('known-points.json'),
    onWarning: () => undefined,
    onProgress: (progress) => seen.push(progress),
    signal: new AbortController().signal,
    ...changes,
  });

  test('makes a proven, encrypted backup, and tells its steps in order', async () => {
    const seen: TaskProgress[] = [];
    const result = await runBackupTask(task('full'), tools(seen));
    assert.equal(result.found, false);
    assert.equal(result.mode, 'FULL');
    assert.equal(result.validation.proof, 'LiveHash');
    assert.equal(result.location, 's3://backups/full');
    const { memberId, revision } = await etcd.status();
    assert.deepEqual([result.memberId, result.point.revision], [memberId, revision]);
    const steps = seen.map(({ step }) => step);
    const order = steps.filter((step, index) => step !== steps[index - 1]);
    assert.deepEqual(order, ['Preparing', 'Snapshotting', 'Uploading', 'ValidatingSnapshot']);
    assert.equal(Math.max(...seen.map(({ doneBytes }) => doneBytes)) >= result.snapshotBytes, true);
  });

  test('of an operation that was done before, also without knowing it, is found', async () => {
    const made = await runBackupTask(task('again'), tools());
    const again = await runBackupTask(task('again'), tools());
    assert.deepEqual(again, { ...made, found: true });
    const other = await runBackupTask(task('again', { operation: 'another' }), tools());
    assert.notEqual(other.point.chain, made.point.chain);
  });

  test('in Incremental mode begins with a full one and says why, then stores what changed', async () => {
    const first = await runBackupTask(
      task('incremental', { mode: 'INCREMENTAL', operation: 'one' }),
      tools(),
    );
    assert.equal(first.mode, 'FULL');
    assert.match(first.modeReason, /no backup of this cluster yet/);
    await etcd.etcdctl('put', 'a', 'b');
    const second = await runBackupTask(
      task('incremental', { mode: 'INCREMENTAL', operation: 'two' }),
      tools(),
    );
    assert.equal(second.mode, 'INCREMENTAL');
    assert.equal(second.point.chain, first.point.chain);
    assert.equal(second.point.revision, first.point.revision + 1n);
    assert.equal(second.validation.verdict, 'Skipped');
    assert.ok(second.storedBytes > 0 && second.snapshotBytes > 0);
  });

  test('refuses another cluster, and keys that only read', async () => {
    await assert.rejects(runBackupTask(task('no', { etcdClusterId: 7n }), tools()), {
      code: 'backup.other-cluster',
    });
    const { repository } = task('no');
    const keys = { ...repository.keys, encryption: Buffer.from('nonsense') };
    await assert.rejects(runBackupTask(task('no', { repository: { ...repository, keys } }), tools()), {
      code: 'keys.malformed',
      message: /Secret x\/key/,
    });
  });

  test('ends with the reason of its signal, and leaves nothing that counts', async () => {
    const leaving = new AbortController();
    const onProgress = ({ step }: TaskProgress): void => {
      if (step === 'Snapshotting') leaving.abort(new Error('enough'));
    };
    const stopped = runBackupTask(task('left'), tools([], { signal: leaving.signal, onProgress }));
    await assert.rejects(stopped, /enough/);
    assert.equal((await runBackupTask(task('left'), tools())).found, false);
  });

  test('ends with a retryable error where the store stays away', async () => {
    await using proxy = await startHttpProxy(s3.endpoint, () => ({ kind: 'answer', status: 503 }));
    const { repository } = task('away');
    const location = { ...repository.location, endpoint: proxy.endpoint };
    await assert.rejects(runBackupTask(task('away', { repository: { ...repository, location } }), tools()), {
      name: 'GuardianError',
      retryable: true,
    });
  });
});
