import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import type { EtcdClient } from './etcd-client.ts';

for (const version of ETCD_VERSIONS) {
  test(`etcd ${version} answers every call`, needs(`etcd ${version}`, `etcdctl ${version}`), async (t) => {
    await using etcd = await startEtcd({ version, name: 'one' });
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    await t.test('status and members', () => statusAndMembers(etcd, client, version));
    await t.test('range', () => ranges(etcd, client));
    await t.test('leases', () => leases(etcd, client));
    await t.test('hashKV and compaction', () => hashes(etcd, client, version));
    await t.test('a whole snapshot, with its digest', () => wholeSnapshot(etcd, client, version));
    await t.test('alarms', () => alarms(etcd, client));
  });
}

async function statusAndMembers(etcd: Etcd, client: EtcdClient, version: EtcdVersion): Promise<void> {
  const known = await etcd.status();
  const status = await client.status(etcd.endpoint);
  assert.equal(status.endpoint, etcd.endpoint);
  assert.equal(status.version, version);
  assert.equal(status.header.clusterId, known.clusterId);
  assert.equal(status.header.memberId, known.memberId);
  assert.equal(status.leader, known.leader);
  assert.equal(status.isLeader, true);
  assert.equal(status.isLearner, false);
  assert.ok(status.dbSize >= status.dbSizeInUse && status.dbSizeInUse > 0);
  assert.ok(status.raftAppliedIndex > 0n && status.raftAppliedIndex <= status.raftIndex);
  assert.equal(status.dbSizeQuota, version >= '3.6' ? 2 ** 31 : undefined);
  assert.deepEqual(status.alarms, []);

  const { members } = await client.members();
  assert.deepEqual(members, [
    {
      id: known.memberId,
      name: 'one',
      peerUrls: [etcd.peerUrl],
      clientUrls: [etcd.endpoint],
      isLearner: false,
    },
  ]);
}

async function ranges(etcd: Etcd, client: EtcdClient): Promise<void> {
  await etcd.etcdctl('put', 'a', '1');
  await etcd.etcdctl('put', 'b', '2');
  await etcd.etcdctl('put', 'a', '3');
  const all = await client.range('a', { rangeEnd: 'c' });
  assert.deepEqual(
    all.kvs.map(({ key, value, createRevision, modRevision, version, lease }) => {
      return [key.toString(), value.toString(), createRevision, modRevision, version, lease];
    }),
    [
      ['a', '3', 2n, 4n, 2n, 0n],
      ['b', '2', 3n, 3n, 1n, 0n],
    ],
  );
  assert.equal(all.count, 2n);
  assert.equal(all.header.revision, 4n);

  const page = await client.range(Buffer.from('a'), { rangeEnd: Buffer.from([0]), limit: 1, keysOnly: true });
  assert.equal(page.more, true);
  assert.equal(page.kvs[0]?.value.length, 0);
  assert.equal((await client.range('a', { revision: 2n })).kvs[0]?.value.toString(), '1');
  assert.equal((await client.range('a', { rangeEnd: 'c', countOnly: true })).count, 2n);
  assert.deepEqual((await client.range('missing', { serializable: true })).kvs, []);
  await assert.rejects(client.range('a', { revision: 99n }), code('etcd.future-revision'));
}

async function leases(etcd: Etcd, client: EtcdClient): Promise<void> {
  // The id's highest bit is no sign to us: it must come back as given.
  const granted = await etcd.etcdctl('lease', 'grant', '3600');
  const id = BigInt(`0x${/lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? ''}`);
  assert.deepEqual((await client.leases()).ids, [id]);
  const lease = await client.leaseTimeToLive(id);
  assert.equal(lease?.id, id);
  assert.equal(lease.grantedTtl, 3600n);
  assert.ok(lease.ttl > 0n && lease.ttl <= 3600n);
  assert.equal(await client.leaseTimeToLive(id + 1n), undefined);
}

async function hashes(etcd: Etcd, client: EtcdClient, version: EtcdVersion): Promise<void> {
  const now = await client.hashKV(etcd.endpoint, 0n);
  assert.equal(now.hashRevision, 4n);
  assert.equal(now.compactRevision, -1n);
  assert.deepEqual((await client.hashKV(etcd.endpoint, 4n)).hash, now.hash);
  const asEtcdctl = JSON.parse(await etcd.etcdctl('endpoint', 'hashkv', '--write-out=json')) as [
    { HashKV: { hash: number } },
  ];
  assert.equal(now.hash, asEtcdctl[0].HashKV.hash);

  await etcd.etcdctl('compaction', '4');
  assert.equal((await client.hashKV(etcd.endpoint, 0n)).compactRevision, 4n);
  await assert.rejects(client.hashKV(etcd.endpoint, 3n), code('etcd.compacted'));
  await assert.rejects(client.hashKV(etcd.endpoint, 5n), code('etcd.future-revision'), version);
}

async function wholeSnapshot(etcd: Etcd, client: EtcdClient, version: EtcdVersion): Promise<void> {
  const snapshot = client.snapshot(etcd.endpoint);
  assert.equal(snapshot.totalBytes, undefined);
  const pieces: Uint8Array[] = [];
  for await (const piece of snapshot) pieces.push(Buffer.from(piece));
  const file = Buffer.concat(pieces);
  const database = file.subarray(0, -32);
  assert.equal(database.length % 4096, 0);
  assert.deepEqual(file.subarray(-32), createHash('sha256').update(database).digest());
  assert.equal(snapshot.totalBytes, database.length);
  assert.equal(snapshot.receivedBytes, database.length);
  // A new member writes it some seconds after its start.
  const storageVersions = [undefined, ...(version >= '3.6' ? [`${version.slice(0, 3)}.0`] : [])];
  assert.ok(storageVersions.includes(snapshot.storageVersion));
  assert.equal(snapshot.member?.header.memberId, (await etcd.status()).memberId);
  await assert.rejects(async () => {
    for await (const piece of snapshot) assert.fail(`${piece.length} bytes of a second pass`);
  }, /streams once/);
}

async function alarms(etcd: Etcd, client: EtcdClient): Promise<void> {
  assert.deepEqual(await client.alarms(), []);
  const { memberId } = await etcd.status();
  await etcd.restart({ args: ['--quota-backend-bytes=20480'] });
  await assert.rejects(etcd.etcdctl('put', 'big', 'x'.repeat(20_000)), /space exceeded/);
  const expected = [{ memberId, kind: 'NOSPACE' }];
  assert.deepEqual(await client.alarms(), expected);
  assert.deepEqual((await client.status(etcd.endpoint)).alarms, expected);
}

test('the first endpoint that answers is enough', needs('etcd 3.6.16'), async () => {
  await using etcd = await startEtcd();
  await using client = connectEtcd({ endpoints: ['http://127.0.0.1:1', etcd.address, `${etcd.endpoint}/`] });
  assert.deepEqual(client.endpoints, ['http://127.0.0.1:1', etcd.endpoint]);
  assert.equal((await client.members()).members.length, 1);
  const [away, here] = await client.statuses();
  assert.equal(away?.error?.code, 'etcd.refused');
  assert.equal(here?.status?.isLeader, true);
});

test('when no endpoint answers, each one says why', async () => {
  await using client = connectEtcd({ endpoints: ['127.0.0.1:1', '127.0.0.1:2'] });
  await assert.rejects(client.members(), (error) => {
    assert.ok(hasCode(error, 'etcd.refused'));
    assert.match(
      error.message,
      /none of 2 endpoints answers: .*127\.0\.0\.1:1 refuses.*127\.0\.0\.1:2 refuses/,
    );
    return true;
  });
});

test(
  'a call ends when its signal aborts, and all calls when the client closes',
  needs('etcd 3.6.16'),
  async () => {
    await using etcd = await startEtcd();
    const client = connectEtcd({ endpoints: [etcd.endpoint] });
    await client.status(etcd.endpoint);
    await etcd.kill('SIGSTOP');
    try {
      const reason = new Error('enough');
      const controller = new AbortController();
      const aborted = client.status(etcd.endpoint, { signal: controller.signal });
      controller.abort(reason);
      await assert.rejects(aborted, (error) => error === reason);
      await assert.rejects(client.status(etcd.endpoint, { timeoutMs: 50 }), code('etcd.deadline'));
      const open = client.status(etcd.endpoint);
      await client.close();
      await assert.rejects(open, code('etcd.closed'));
      await assert.rejects(client.members(), code('etcd.closed'));
    } finally {
      await etcd.kill('SIGCONT');
    }
  },
);

function code(expected: string): (error: unknown) => boolean {
  return (error) => hasCode(error, expected);
}
