import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HashKV, MemberStatus } from '../etcd/client/etcd-client.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import type { Proof } from '../repository/manifest.ts';
import { compareMembers } from './compare-members.ts';
import type { Prover } from './choose-source.ts';
import { MembersDifferError } from './members-differ.ts';
import type { HashedSnapshot, ProvingClient } from './prove.ts';

// Doubles of the members: who answers what is the input here; chosen-member.server.test.ts has real ones that differ.

const OWN = 111;
const OTHER = 222;
const THIRD = 333;
const SILENT = undefined;

/** The members' hashes by id; member 1 leads. */
type Hashes = Readonly<Record<number, number | undefined>>;

interface Case {
  readonly holds: string;
  readonly source: number;
  /** In the order in which they are asked. */
  readonly others: readonly number[];
  readonly hashes: Hashes;
  readonly everyone?: boolean;
  readonly asked: readonly number[];
}

interface Proven extends Case {
  readonly provenBy: number;
  readonly outvoted?: readonly number[];
}

interface Refused extends Case {
  readonly outvoted: readonly number[];
  readonly heard: readonly number[];
  readonly says: RegExp;
  readonly advises: RegExp;
}

const proven: readonly Proven[] = [
  {
    holds: 'one other member that agrees is enough',
    ...{ source: 2, others: [3, 1], hashes: { 1: OWN, 2: OWN, 3: OWN }, asked: [3], provenBy: 3 },
  },
  {
    holds: 'a silent member is passed over',
    ...{ source: 2, others: [3, 1], hashes: { 1: OWN, 2: OWN, 3: SILENT }, asked: [3, 1], provenBy: 1 },
  },
  {
    holds: 'the source itself is asked where nobody else answers',
    ...{ source: 2, others: [3, 1], hashes: { 1: SILENT, 2: OWN, 3: SILENT }, asked: [3, 1, 2], provenBy: 2 },
  },
  {
    holds: 'the source itself is asked where there is nobody else',
    ...{ source: 1, others: [], hashes: { 1: OWN }, asked: [1], provenBy: 1 },
  },
  {
    holds: 'a member that differs from the source and another one is outvoted',
    ...{ source: 2, others: [3, 1], hashes: { 1: OWN, 2: OWN, 3: OTHER }, asked: [3, 1], provenBy: 1 },
    outvoted: [3],
  },
  {
    holds: 'all are asked where members are known to differ',
    ...{ source: 2, others: [3, 1], hashes: { 1: OTHER, 2: OWN, 3: OWN }, everyone: true, asked: [3, 1] },
    ...{ provenBy: 3, outvoted: [1] },
  },
];

const refused: readonly Refused[] = [
  {
    holds: 'a source that two others contradict must be replaced',
    ...{ source: 2, others: [3, 1], hashes: { 1: OTHER, 2: OWN, 3: OTHER }, asked: [3, 1] },
    ...{ outvoted: [2], heard: [2, 3, 1] },
    says: /^the snapshot of m2 \(http:\/\/m2\) has HashKV 111 at revision 9, but m3 \(http:\/\/m3\) answers 222, m1 \(http:\/\/m1\) answers 222: m2 \(http:\/\/m2\) must be replaced$/,
    advises: /add it again with an empty data dir/,
  },
  {
    holds: 'of two nobody knows which is wrong',
    ...{ source: 2, others: [1], hashes: { 1: OTHER, 2: OWN }, asked: [1], outvoted: [], heard: [2, 1] },
    says: /m1 \(http:\/\/m1\) answers 222: which of them is wrong can't be told from these answers$/,
    advises: /name all members with --endpoints/,
  },
  {
    holds: 'who was not heard is told, with the reason',
    ...{ source: 2, others: [3, 1], hashes: { 1: SILENT, 2: OWN, 3: OTHER }, asked: [3, 1] },
    ...{ outvoted: [], heard: [2, 3] },
    says: /m3 \(http:\/\/m3\) answers 222; http:\/\/m1 gave no hash .*: which of them/,
    advises: /compare "etcdctl endpoint hashkv --cluster"/,
  },
  {
    holds: 'three that all differ have no majority',
    ...{ source: 2, others: [3, 1], hashes: { 1: THIRD, 2: OWN, 3: OTHER }, asked: [3, 1] },
    ...{ outvoted: [], heard: [2, 3, 1] },
    says: /which of them is wrong can't be told/,
    advises: /replace the member that differs/,
  },
  {
    holds: 'of five the three that agree are right',
    ...{ source: 2, others: [3, 4, 5, 1], hashes: { 1: OTHER, 2: OWN, 3: OWN, 4: OTHER, 5: OTHER } },
    ...{ everyone: true, asked: [3, 4, 5, 1], outvoted: [2, 3], heard: [2, 3, 4, 5, 1] },
    says: /m3 \(http:\/\/m3\) agrees with the snapshot: m2 \(http:\/\/m2\) and m3 \(http:\/\/m3\) must be replaced$/,
    advises: /remove it from the cluster/,
  },
  {
    holds: 'an only member that contradicts itself is told as such, not as a difference of members',
    ...{ source: 1, others: [], hashes: { 1: OTHER }, asked: [1], outvoted: [], heard: [1] },
    says: /^the snapshot of m1 \(http:\/\/m1\) has HashKV 111 at revision 9, but m1 \(http:\/\/m1\) answers 222: it contradicts itself$/,
    advises: /no other member to compare with: check/,
  },
];

for (const { holds, provenBy, outvoted, asked, ...given } of proven) {
  test(holds, async () => {
    const { proof, askedIds } = await compare(given);
    assert.ok(proof.kind === 'live-hashkv', proof.kind);
    assert.equal(proof.memberId, BigInt(provenBy));
    assert.deepEqual(
      proof.outvoted?.map(({ memberId }) => Number(memberId)),
      outvoted,
    );
    assert.deepEqual(askedIds, asked);
  });
}

for (const { holds, outvoted, heard, says, advises, ...given } of refused) {
  test(holds, async () => {
    await assert.rejects(compare(given), (error) => {
      assert.ok(error instanceof MembersDifferError);
      assert.match(error.message, says);
      assert.match(error.hint ?? '', advises);
      assert.deepEqual([...error.outvoted].map(Number), outvoted);
      assert.deepEqual([...error.heard].map(Number), heard);
      return error.code === 'backup.hash-mismatch';
    });
  });
}

test('where nobody answers, every reason is told', async () => {
  const { proof } = await compare({ source: 2, others: [1], hashes: {} });
  assert.ok(proof.kind === 'none');
  assert.match(proof.reason, /^http:\/\/m1 gave no hash.*; http:\/\/m2 gave no hash/);
});

async function compare({
  source,
  others,
  hashes,
  everyone = false,
}: Pick<Case, 'source' | 'others' | 'hashes' | 'everyone'>): Promise<{ proof: Proof; askedIds: number[] }> {
  const askedIds: number[] = [];
  const proof = await compareMembers(members(hashes), SNAPSHOT, {
    source: proverOf(source),
    others: others.map(proverOf),
    memberNames: new Map([1, 2, 3, 4, 5].map((id) => [BigInt(id), `m${id}`])),
    everyone,
    budget: { followerBytes: 1e9, leaderBytes: 1e9 },
    waitMs: 0,
    onAsk: (endpoint) => {
      askedIds.push(Number(endpoint.slice('http://m'.length)));
    },
    clock: () => new Date(),
  });
  return { proof, askedIds };
}

function proverOf(id: number): Prover {
  return { endpoint: `http://m${id}`, memberId: BigInt(id) };
}

const VERDICT = { currentRevision: 9n, compactRevision: 4n, totalEntries: 10 } as SnapshotVerdictData;
const SNAPSHOT: HashedSnapshot = { verdict: VERDICT, hashKVAt: () => OWN };

function members(hashes: Hashes): ProvingClient {
  const idOf = (endpoint: string): number => Number(endpoint.slice('http://m'.length));
  const headerOf = (id: number): MemberStatus['header'] => ({
    ...{ clusterId: 0xc1n, memberId: BigInt(id), revision: 9n, raftTerm: 2n },
  });
  return {
    status: (endpoint) => {
      const id = idOf(endpoint);
      if (hashes[id] === undefined) {
        return Promise.reject(new GuardianError('etcd.refused', `${endpoint} refuses`));
      }
      const status = {
        endpoint,
        header: headerOf(id),
        isLeader: id === 1,
        dbSizeInUse: 1,
        version: '3.4.23',
      };
      return Promise.resolve(status as MemberStatus);
    },
    hashKV: (endpoint) => {
      const id = idOf(endpoint);
      const answer: HashKV = {
        ...{ header: headerOf(id), hash: hashes[id] ?? 0, compactRevision: 4n, hashRevision: 9n },
      };
      return Promise.resolve(answer);
    },
    range: () => Promise.reject(new Error('3.4 keeps no hashes')),
    watch: () => {
      throw new Error('3.4 keeps no hashes');
    },
  };
}
