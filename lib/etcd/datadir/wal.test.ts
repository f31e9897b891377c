import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { identifyCluster } from './member-identity.ts';
import { encodeSnapFile, snapFileName } from './snap-file.ts';
import { encodeWal } from './wal.ts';

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

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
