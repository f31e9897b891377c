import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { link, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { batchOf, keyOf, valueOf } from '../bolt/entry-batch.ts';
import { openBoltFile } from '../bolt/reader.ts';
import { writeBoltFile } from '../bolt/writer.ts';
import { encodeKeyValue } from '../mvcc/key-value.ts';
import { encodeRevisionKey } from '../mvcc/revision.ts';
import { readStoreRevisions } from '../mvcc/store-revisions.ts';
import { type MemberDirOptions, writeMemberDir } from './member-dir.ts';

const CLUSTER = {
  token: 'etcd-cluster',
  members: [
    { name: 'm1', peerUrls: ['http://127.0.0.1:23931'] },
    { name: 'm2', peerUrls: ['http://127.0.0.1:23932'] },
  ],
};
const SNAP = '0000000000000001-0000000000000002.snap';
const WAL = '0000000000000000-0000000000000000.wal';

test('a data dir has the folders, files, sizes and modes that etcd makes', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  const written = await writeMemberDir(options);
  assert.equal(written.memberId, 0x165dc7dbcac8f0a5n);
  assert.equal(written.revision, 11n);
  const { dataDir } = options;
  assert.deepEqual((await readdir(dataDir, { recursive: true })).sort(), [
    'member',
    'member/snap',
    `member/snap/${SNAP}`,
    'member/snap/db',
    'member/wal',
    `member/wal/${WAL}`,
  ]);
  for (const [path, mode] of [
    ['', 0o700],
    ['member', 0o700],
    ['member/snap', 0o700],
    ['member/wal', 0o700],
    ['member/snap/db', 0o600],
    [`member/snap/${SNAP}`, 0o644],
    [`member/wal/${WAL}`, 0o600],
  ] as const) {
    assert.equal((await stat(join(dataDir, path))).mode & 0o777, mode, path);
  }
  const wal = await stat(join(dataDir, 'member/wal', WAL));
  assert.equal(wal.size, 64_000_000);
  assert.ok(wal.blocks * 512 < 100_000, 'the zeros take no room');
});

test('the database begins anew: its members, index and term, without the old ones and their alarms', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  await writeMemberDir({ ...options, bumpTo: 5000n });
  await using file = await openBoltFile(join(options.dataDir, 'member/snap/db'));
  const entries = async (bucket: string): Promise<[string, string][]> => {
    const found: [string, string][] = [];
    for await (const batch of file.entries(bucket)) {
      for (let index = 0; index < batch.count; index++) {
        found.push([keyOf(batch, index).toString(), valueOf(batch, index).toString('latin1')]);
      }
    }
    return found;
  };
  const bump = encodeRevisionKey({ main: 5000n, sub: 0n });
  assert.deepEqual(await entries('meta'), [
    ['consistent_index', '\0\0\0\0\0\0\0\x02'],
    ['scheduledCompactRev', bump.toString('latin1')],
    ['storageVersion', '3.6.0'],
    ['term', '\0\0\0\0\0\0\0\x01'],
  ]);
  assert.deepEqual(await entries('members'), [
    ['165dc7dbcac8f0a5', '{"id":1611663988482437285,"peerURLs":["http://127.0.0.1:23931"],"name":"m1"}'],
    ['49e15be364c827e2', '{"id":5323637266735179746,"peerURLs":["http://127.0.0.1:23932"],"name":"m2"}'],
  ]);
  assert.deepEqual(await entries('members_removed'), []);
  assert.deepEqual(await entries('alarm'), []);
  assert.equal((await entries('key')).length, 11);
  assert.deepEqual(await file.lastKey('key'), bump);
  assert.deepEqual(await readStoreRevisions(file), {
    currentRevision: 5000n,
    compactRevision: 5000n,
    compacting: true,
  });
});

test('versions are edited, and alarms kept, when that is asked for', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  const versionEdits = { dropStorageVersion: true, clusterVersion: '3.5.0' };
  await writeMemberDir({ ...options, versionEdits, clearAlarms: false });
  await using file = await openBoltFile(join(options.dataDir, 'member/snap/db'));
  assert.equal(await file.get('meta', Buffer.from('storageVersion')), undefined);
  assert.equal(String(await file.get('cluster', Buffer.from('clusterVersion'))), '3.5.0');
  assert.notEqual(await file.lastKey('alarm'), undefined);
});

test('a stream of bytes, and a writer, give the same database as a file', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  const sources: MemberDirOptions['snapshot'][] = [
    options.snapshot,
    { bytes: createReadStream(folder.join('snapshot.db'), { highWaterMark: 1000 }) },
    { write: async (path) => writeFile(path, await readFile(folder.join('snapshot.db'))) },
  ];
  const made: Buffer[] = [];
  for (const [index, snapshot] of sources.entries()) {
    const dataDir = folder.join(String(index));
    await writeMemberDir({ ...options, dataDir, snapshot, bumpTo: 100n });
    made.push(await readFile(join(dataDir, 'member/snap/db')));
  }
  for (const bytes of made) assert.ok(made[0]?.equals(bytes));
});

test('what is there is not touched', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  await writeMemberDir(options);
  await assert.rejects(writeMemberDir(options), (error) => hasCode(error, 'restore.data-dir-exists'));

  const walDir = folder.join('wal');
  await mkdir(walDir);
  await writeFile(join(walDir, WAL), 'precious');
  const dataDir = folder.join('other');
  await assert.rejects(writeMemberDir({ ...options, dataDir, walDir }), (error) =>
    hasCode(error, 'restore.wal-dir-exists'),
  );
  assert.equal(await readFile(join(walDir, WAL), 'utf8'), 'precious');
  assert.deepEqual((await readdir(folder.path)).sort(), ['data', 'snapshot.db', 'wal']);
});

test('a WAL dir of its own, and folders that exist but are empty', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  await mkdir(join(options.dataDir, 'lost+found'), { recursive: true });
  for (const [number, walDir] of [folder.join('wal/below'), join(options.dataDir, 'wal')].entries()) {
    await mkdir(walDir, { recursive: true });
    const dataDir = number === 0 ? folder.join('first') : options.dataDir;
    await writeMemberDir({ ...options, dataDir, walDir });
    assert.deepEqual(await readdir(walDir), [WAL]);
    assert.deepEqual(await readdir(join(dataDir, 'member')), ['snap']);
  }
});

test('a failure leaves nothing, a crash nothing that is in the way of the next attempt', async () => {
  await using folder = await temporaryFolder();
  const options = await fromSnapshot(folder.path);
  const dataDir = folder.join('a/b/data');
  const walDir = folder.join('c/wal');
  const cut = async function* (): AsyncGenerator<Uint8Array> {
    yield* createReadStream(folder.join('snapshot.db'), { end: 9000 });
  };
  const failing: [string, Partial<MemberDirOptions>][] = [
    ['bolt.truncated', { snapshot: { bytes: cut() } }],
    ['disk.not-found', { snapshot: { file: folder.join('none') } }],
    ['restore.bump-too-low', { bumpTo: 11n }],
    ['restore.initial-cluster', { name: 'm3' }],
  ];
  for (const [code, some] of failing) {
    await assert.rejects(writeMemberDir({ ...options, dataDir, walDir, ...some }), (error) =>
      hasCode(error, code),
    );
    assert.deepEqual(await readdir(folder.path), ['snapshot.db']);
  }
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(writeMemberDir({ ...options, dataDir, walDir, signal }), /enough/);
  assert.deepEqual(await readdir(folder.path), ['snapshot.db']);

  // As killed at the worst moment: the log has its name already, the rest hasn't.
  for (const parent of [dataDir, walDir])
    await mkdir(join(parent, 'member.partial-0123'), { recursive: true });
  await writeFile(join(walDir, 'member.partial-0123', WAL), 'ours');
  await link(join(walDir, 'member.partial-0123', WAL), join(walDir, WAL));
  await writeMemberDir({ ...options, dataDir, walDir });
  assert.deepEqual(await readdir(dataDir), ['member']);
  assert.deepEqual(await readdir(walDir), [WAL]);
  assert.equal((await stat(join(walDir, WAL))).size, 64_000_000);
});

/** Options to restore a small snapshot of an etcd 3.6 with history, old members and an alarm. */
async function fromSnapshot(folder: string): Promise<MemberDirOptions & { dataDir: string }> {
  const bucket = (name: string, entries: Iterable<readonly [Buffer | string, Buffer | string]>) => ({
    name,
    entries: [batchOf([...entries].map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const))],
  });
  const path = join(folder, 'snapshot.db');
  await writeBoltFile(path, [
    bucket('alarm', [[Buffer.from('08011001', 'hex'), '']]),
    bucket('cluster', [['clusterVersion', '3.6.0']]),
    bucket(
      'key',
      Array.from({ length: 10 }, (_, index) => put(BigInt(index + 2))),
    ),
    bucket('lease', []),
    bucket('members', [['deadbeef', '{"id":3735928559,"peerURLs":["http://old:2380"],"name":"old"}']]),
    bucket('members_removed', [['cafe', 'removed']]),
    bucket('meta', [
      ['consistent_index', Buffer.alloc(8, 0x11)],
      ['storageVersion', '3.6.0'],
      ['term', Buffer.alloc(8, 0x22)],
    ]),
  ]);
  return { dataDir: join(folder, 'data'), snapshot: { file: path }, name: 'm1', cluster: CLUSTER };
}

function put(main: bigint): readonly [Buffer, Buffer] {
  const record = {
    ...{ key: Buffer.from(`k${main}`), value: Buffer.alloc(1000, 'v'), lease: 0n },
    ...{ createRevision: main, modRevision: main, version: 1n },
  };
  return [encodeRevisionKey({ main, sub: 0n }), encodeKeyValue(record)];
}
