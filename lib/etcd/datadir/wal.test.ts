import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { crc32c } from '../crc32c.ts';
import { identifyCluster } from './member-identity.ts';
import { encodeSnapFile, snapFileName } from './snap-file.ts';
import { readRequests } from './wal-tail.ts';
import { encodeWal, WAL_FILE_NAME } from './wal.ts';
import { encodeMessage } from './wire.ts';

const CLUSTER = identifyCluster({
  token: 'etcd-cluster',
  members: [
    { name: 'm1', peerUrls: ['http://127.0.0.1:23931'] },
    { name: 'm2', peerUrls: ['http://127.0.0.1:23932'] },
  ],
});

test('a log is what etcdutl 3.5 writes for the same member', () => {
  const [member] = CLUSTER.members;
  assert.ok(member !== undefined);
  const wal = encodeWal(CLUSTER, member);
  // Length with four bytes of padding, a record of type 4 with CRC 0; then the ids of member and cluster.
  assert.equal(wal.toString('hex', 0, 16), '04000000000000840804100000000000');
  assert.equal(
    wal.toString('hex', 16, 56),
    '1f00000000000081' + '080110a8ecf6d903' + '1a1508a5e1a3d6bcfbf1ae1610dd8ae5b5a996f998af0100',
  );
  assert.equal(digest(wal), '69289268b92025557bd91d1b1e48a4214793475fa8267a64062f24053b6e48a6');
});

test('a raft snapshot is what etcdutl 3.5 writes for the same cluster', () => {
  const snap = encodeSnapFile(CLUSTER);
  assert.equal(snapFileName(CLUSTER), '0000000000000001-0000000000000002.snap');
  assert.equal(snap.length, 7030);
  assert.equal(digest(snap), '738ecd8db3c7d319cae9a64cc319f820298027818c35597957d119abc5c292da');
});

test('what a log asks of the store is read as it was written, without what is about members', async () => {
  await using folder = await temporaryFolder();
  const [member] = CLUSTER.members;
  assert.ok(member !== undefined);
  const put = encodeMessage([4, Buffer.from('a put')]);
  const leaseRevoke = encodeMessage([9, Buffer.from('a lease')]);
  const ofMembers = [2, 1301].map((field) => encodeMessage([field, Buffer.from('x')]));
  const wal = encodeWal(CLUSTER, member, [put, undefined, ...ofMembers, leaseRevoke]);
  await writeFile(folder.join(WAL_FILE_NAME), Buffer.concat([wal, Buffer.alloc(4096)]));

  const behind = await readRequests(folder.path, 2n);
  assert.deepEqual(behind.requests, [put, undefined, undefined, undefined, leaseRevoke]);
  const { entries, committed, writes, lastIndex, broken } = behind.tail;
  assert.deepEqual([entries, committed, writes, lastIndex, broken], [5, 5, 2, 7n, undefined]);
  assert.deepEqual((await readRequests(folder.path, 6n)).requests, [leaseRevoke]);
  assert.deepEqual((await readRequests(folder.path, 7n)).requests, []);
});

test('a log that ends before the database does, or isn’t there, is broken', async () => {
  await using folder = await temporaryFolder();
  assert.match((await readRequests(folder.path, 2n)).tail.broken ?? '', /no file/);
  const [member] = CLUSTER.members;
  assert.ok(member !== undefined);
  await writeFile(folder.join(WAL_FILE_NAME), encodeWal(CLUSTER, member));
  assert.equal((await readRequests(folder.path, 2n)).tail.broken, undefined);
  assert.match((await readRequests(folder.path, 3n)).tail.broken ?? '', /ends at entry 2/);
});

test('a log whose last record was being written ends before it', async () => {
  await using folder = await temporaryFolder();
  const [member] = CLUSTER.members;
  assert.ok(member !== undefined);
  const put = encodeMessage([4, Buffer.alloc(1000, 1)]);
  const whole = encodeWal(CLUSTER, member, [put]);
  const longer = encodeWal(CLUSTER, member, [put, put]);
  // The second put begins where the hard state of the shorter log does.
  const torn = Buffer.alloc(longer.length);
  longer.copy(torn, 0, 0, whole.length + 500);
  await writeFile(folder.join(WAL_FILE_NAME), torn);
  const { requests, tail } = await readRequests(folder.path, 2n);
  assert.deepEqual([requests.length, tail.torn, tail.broken], [1, true, undefined]);
});

test('a damaged record is broken, not one that was being written, also at the end', async () => {
  await using folder = await temporaryFolder();
  const [member] = CLUSTER.members;
  assert.ok(member !== undefined);
  const put = encodeMessage([4, Buffer.alloc(1000, 1)]);
  const room = Buffer.alloc(4096);
  const whole = encodeWal(CLUSTER, member, [put]);
  // The frame of the put begins where the log without it ends.
  const start = encodeWal(CLUSTER, member).length;
  const read = async (change: (log: Buffer) => void): Promise<readonly unknown[]> => {
    // Without the hard state behind it.
    const end = start + 8 + whole.readUInt32LE(start);
    const log = Buffer.concat([whole.subarray(0, end), room]);
    change(log);
    await writeFile(folder.join(WAL_FILE_NAME), log);
    const { tail } = await readRequests(folder.path, 2n);
    return [tail.entries, tail.torn, tail.broken === undefined];
  };
  assert.deepEqual(await read(() => undefined), [1, false, true]);
  assert.deepEqual(await read((log) => log.fill(0, start + 600)), [0, true, true]);
  assert.deepEqual(await read((log) => log.fill(2, start + 600, start + 601)), [0, false, false]);
  assert.deepEqual(await read((log) => log.fill(1, start + 5, start + 6)), [0, false, false]);
});

test('a log is broken where a leader had sent a newer database than the one in place', async () => {
  await using folder = await temporaryFolder();
  const snapshot = encodeMessage([1, 9n], [2, 1n]);
  const records = [
    encodeMessage([1, 4n], [2, 0n]),
    encodeMessage([1, 5n], [2, BigInt(crc32c(snapshot))], [3, snapshot]),
  ];
  const frames = records.map((record) => {
    const padding = (8 - (record.length % 8)) % 8;
    const frame = Buffer.alloc(8 + record.length + padding);
    frame.writeUInt32LE(record.length);
    if (padding > 0) frame[7] = 0x80 | padding;
    record.copy(frame, 8);
    return frame;
  });
  await writeFile(folder.join(WAL_FILE_NAME), Buffer.concat(frames));
  assert.match((await readRequests(folder.path, 2n)).tail.broken ?? '', /database at entry 9/);
  assert.equal((await readRequests(folder.path, 9n)).tail.broken, undefined);
});

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
