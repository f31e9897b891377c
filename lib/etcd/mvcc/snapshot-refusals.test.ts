import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Entry,
  ForgedHistory,
  type ForgedSnapshot,
  forgeSnapshot,
} from '../../../test/harness/forged-snapshot.ts';
import { encodeKeyValue } from './key-value.ts';
import { encodeRevisionKey } from './revision.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';

async function verifyForged(forged: ForgedSnapshot): Promise<SnapshotVerdict> {
  const verifier = createSnapshotVerifier({ trailer: 'required' });
  verifier.write(await forgeSnapshot(forged));
  return verifier.finish();
}

const put = (main: bigint, key: string, more: object = {}): Entry => [
  encodeRevisionKey({ main, sub: 0n }),
  encodeKeyValue({
    ...{
      key: Buffer.from(key),
      createRevision: main,
      modRevision: main,
      version: 1n,
      value: Buffer.from('v'),
      lease: 0n,
    },
    ...more,
  }),
];

const broken: Record<string, readonly [code: string, ForgedSnapshot]> = {
  'a second put that claims to be the first': [
    'mvcc.life',
    { entries: new ForgedHistory().put('a').put('a', { createRevision: 3n, version: 1n }).entries },
  ],
  'a version left out': [
    'mvcc.life',
    { entries: new ForgedHistory().put('a').put('b').put('a', { version: 3n }).entries },
  ],
  'another create_revision': [
    'mvcc.life',
    { entries: new ForgedHistory().put('b').put('a').put('a', { createRevision: 2n, version: 2n }).entries },
  ],
  'a life that goes on after its end': [
    'mvcc.life',
    {
      entries: new ForgedHistory().put('a').delete('a').put('a', { createRevision: 2n, version: 2n }).entries,
    },
  ],
  'a life without a beginning, nothing being compacted': [
    'mvcc.life',
    { entries: new ForgedHistory().at(9n).put('a', { createRevision: 2n, version: 2n }).entries },
  ],
  'a deletion of nothing': ['mvcc.life', { entries: new ForgedHistory().put('a').delete('b').entries }],
  'two deletions': ['mvcc.life', { entries: new ForgedHistory().put('a').delete('a').delete('a').entries }],
  'a key changed twice in one transaction': [
    'mvcc.key-twice',
    {
      entries: new ForgedHistory().put('a').sameRevision().put('a', { createRevision: 2n, version: 1n })
        .entries,
    },
  ],
  'what a compaction should have removed': [
    'mvcc.compaction',
    { entries: new ForgedHistory().put('a').put('a').put('b').entries, compacted: 4n },
  ],
  'a tombstone that a compaction should have removed': [
    'mvcc.compaction',
    { entries: new ForgedHistory().put('b').at(5n).delete('a').put('b').entries, compacted: 6n },
  ],
  'another mod_revision': ['mvcc.record', { entries: [put(5n, 'a', { modRevision: 4n })] }],
  'a create_revision in the future': ['mvcc.record', { entries: [put(5n, 'a', { createRevision: 6n })] }],
  'no create_revision': ['mvcc.record', { entries: [put(5n, 'a', { createRevision: 0n })] }],
  'a version that cannot be': [
    'mvcc.record',
    { entries: [put(5n, 'a', { createRevision: 4n, version: 3n })] },
  ],
  'version 0': ['mvcc.record', { entries: [put(5n, 'a', { version: 0n })] }],
  'no key': ['mvcc.record', { entries: [put(5n, '')] }],
  'revision 0': ['mvcc.record', { entries: [put(0n, 'a')] }],
  'a tombstone with a value': [
    'mvcc.record',
    { entries: [put(5n, 'a'), [encodeRevisionKey({ main: 6n, sub: 0n }, true), put(6n, 'a')[1]]] },
  ],
  'a record that is not one': [
    'mvcc.record',
    { entries: [[encodeRevisionKey({ main: 6n, sub: 0n }), Buffer.from('garbage')]] },
  ],
  'an entry named otherwise': [
    'mvcc.revision-key',
    { entries: [put(5n, 'a'), [Buffer.from('zzz'), Buffer.alloc(1)]] },
  ],
  'no entry named by a revision': ['mvcc.revision-key', { entries: [[Buffer.from('zzz'), Buffer.alloc(1)]] }],
  'a negative revision': [
    'mvcc.revision-key',
    { entries: [put(5n, 'a'), [Buffer.from('ffffffffffffffff5f0000000000000000', 'hex'), Buffer.alloc(0)]] },
  ],
  'no bucket key': ['bolt.bucket', { entries: [], buckets: { key: undefined } }],
  'a lease of another id': [
    'lease.record',
    { entries: [], buckets: { lease: [[Buffer.alloc(8, 1), Buffer.from('0802103c', 'hex')]] } },
  ],
  'a member of another id': [
    'members.record',
    { entries: [], buckets: { members: [[Buffer.from('a'), Buffer.from('{"id":11,"name":"x"}')]] } },
  ],
  'a compaction mark that is not a revision': [
    'meta.record',
    { entries: [], buckets: { meta: [[Buffer.from('finishedCompactRev'), Buffer.alloc(17)]] } },
  ],
  'an alarm that is not one': [
    'alarm.record',
    { entries: [], buckets: { alarm: [[Buffer.from('x'), Buffer.alloc(0)]] } },
  ],
  'a user under another name': [
    'auth.record',
    { entries: [], buckets: { authUsers: [[Buffer.from('root'), Buffer.from('0a0472306f74', 'hex')]] } },
  ],
  'revisions in another bucket': ['mvcc.misplaced', { entries: [], buckets: { members: manyPuts(100) } }],
};

function manyPuts(count: number): Entry[] {
  return Array.from({ length: count }, (_, n) => put(BigInt(n + 2), `key-${n}`));
}

for (const [what, [code, forged]] of Object.entries(broken)) {
  test(`refused: ${what}`, async () => {
    const verdict = await verifyForged(forged);
    assert.equal(verdict.sound, false);
    assert.deepEqual(
      [...new Set(verdict.problems.map((problem) => problem.code))],
      [code],
      JSON.stringify(verdict.problems),
    );
  });
}

test('a hundred problems are told in full, the rest as a number', async () => {
  const entries = Array.from({ length: 3000 }, (_, n) =>
    put(BigInt(n + 2), `key-${n}`, { version: 1n, createRevision: 1n }),
  );
  const verdict = await verifyForged({ entries });
  assert.equal(verdict.problems.length, 100);
  assert.equal(verdict.problemCount, 3000);
});
