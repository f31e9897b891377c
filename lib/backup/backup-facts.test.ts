import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backUp, ETCD_CLUSTER, repositorySettings } from '../../test/harness/repository.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import type { MemberStatus } from '../etcd/client/etcd-client.ts';
import { createSnapshotVerifier } from '../etcd/mvcc/snapshot-verifier.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { openRepository } from '../repository/open-repository.ts';
import { LocalStore } from '../storage/local-store.ts';
import { backupFacts } from './backup-facts.ts';

const STATUS: MemberStatus = {
  endpoint: 'https://10.0.0.2:2379',
  header: { clusterId: ETCD_CLUSTER, memberId: 0x8e9e05c52164694dn, revision: 21n, raftTerm: 3n },
  ...{ version: '3.6.16', storageVersion: '3.6.0', dbSize: 1, dbSizeInUse: 1, dbSizeQuota: undefined },
  ...{ leader: 7n, isLeader: false, isLearner: false, raftIndex: 9n, raftAppliedIndex: 9n },
  ...{ alarms: [], errors: [] },
};
const NO_PROOF = { kind: 'none', reason: 'nobody was asked' } as const;

const snapshot = await smallSnapshot();
const verdict = verdictOf(snapshot.bytes);

function verdictOf(bytes: Buffer): SnapshotVerdictData {
  const verifier = createSnapshotVerifier({ trailer: 'required' });
  verifier.write(bytes);
  return verifier.finish();
}

function facts(some: Partial<SnapshotVerdictData> = {}, status = STATUS): ReturnType<typeof backupFacts> {
  return backupFacts({ status, memberName: 'etcd-2' }, { ...verdict, ...some }, [], NO_PROOF);
}

test('a manifest says of the snapshot what the file says, and of etcd what the member said', () => {
  const { etcd, snapshot: found } = facts();
  assert.deepEqual(found, snapshot.facts);
  assert.deepEqual(
    [
      etcd.clusterId,
      etcd.memberId,
      etcd.memberName,
      etcd.endpoint,
      etcd.serverVersion,
      etcd.raftTerm,
      etcd.leader,
    ],
    [ETCD_CLUSTER, 0x8e9e05c52164694dn, 'etcd-2', 'https://10.0.0.2:2379', '3.6.16', 3n, 7n],
  );
});

test('HashKV is that of the file’s own revision and compaction', () => {
  const { snapshot: found } = facts({ revision: 40n, currentRevision: 50n, compactRevision: 45n, hashKV: 7 });
  assert.deepEqual(found.hashKV, { hash: 7, revision: 50n, compactRevision: 45n });
  assert.deepEqual([found.revision, found.currentRevision], [40n, 50n]);
});

test('what is not known is left out', () => {
  const unknown = {
    storageVersion: undefined,
    clusterVersion: undefined,
    statistics: undefined,
    valuePrefixes: undefined,
  };
  const { etcd, ...rest } = facts(unknown, { ...STATUS, leader: undefined });
  for (const name of ['storageVersion', 'clusterVersion', 'leader']) assert.ok(!(name in etcd), name);
  for (const name of ['statistics', 'encryptionAtRest']) assert.ok(!(name in rest), name);
});

test('alarms are kept with the members’ ids, of all 64 bits', () => {
  const alarms = [{ memberId: 'fd422379fda50e48', alarm: 'NOSPACE' }];
  assert.deepEqual(facts({ alarms }).snapshot.alarms, [{ memberId: 0xfd422379fda50e48n, kind: 'NOSPACE' }]);
});

test('the largest fifty groups are kept, history counted too, and hostile names are cut', () => {
  const statistics = Array.from({ length: 80 }, (_, index) => ({
    name: index === 0 ? 'x'.repeat(9999) : `group-${index}`,
    ...{
      liveKeys: 1,
      liveBytes: index === 0 ? 0 : index,
      historyEntries: 1,
      historyBytes: index === 0 ? 1000 : 0,
    },
  }));
  const kept = facts({ statistics }).statistics;
  assert.deepEqual([kept?.groups.length, kept?.otherGroups], [50, 30]);
  assert.deepEqual(
    kept?.groups.slice(0, 3).map(({ name }) => name),
    ['x'.repeat(256), 'group-79', 'group-78'],
  );
});

test('the keys that encrypted values need are kept, and that none is needed', () => {
  const valuePrefixes = [{ prefix: 'k8s:enc:kms:v2:vault:', liveKeys: 3 }];
  assert.deepEqual(facts({ valuePrefixes }).encryptionAtRest, [{ provider: 'kms-v2', key: 'vault' }]);
  assert.deepEqual(facts({ valuePrefixes: [] }).encryptionAtRest, []);
});

test('a manifest takes what even a hostile database can make of it', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const valuePrefixes = Array.from({ length: 65 }, (_, index) => ({
    prefix: `k8s:enc:${String(index).padEnd(500, 'é')}:`,
    liveKeys: 1,
  }));
  const statistics = Array.from({ length: 60 }, () => ({
    name: '\u0001"\\é'.repeat(500),
    ...{ liveKeys: 1, liveBytes: Number.MAX_SAFE_INTEGER, historyEntries: 0, historyBytes: 0 },
  }));
  const alarms = Array.from({ length: 65 }, () => ({ memberId: 'ffffffffffffffff', alarm: '4294967295' }));
  const long = 'y'.repeat(3000);
  const said = { valuePrefixes, statistics, alarms, storageVersion: long, clusterVersion: long };
  const status = { ...STATUS, endpoint: long, version: long };
  const source = { status, memberName: long };
  const { snapshot: found, ...rest } = backupFacts(source, { ...verdict, ...said }, [], {
    ...{ kind: 'none', reason: long },
  });
  const backup = await backUp(repository, snapshot, { facts: { ...rest, snapshot: found } });
  assert.equal((await repository.find('prod', 'latest')).backup.id, backup.id);
});
