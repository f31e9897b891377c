import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { chooseRestore, JOIN_WITHIN_MS } from './choose-restore.ts';
import type { JoinRequest, RestoredMember, RestoreRecord } from './restore-record.ts';

const NOW = new Date('2026-11-22T05:30:00.000Z');
const THREE = ['m1', 'm2', 'm3'].map((name) => ({ name, peerUrls: [`http://${name}:2380`] }));

function record(some: Partial<RestoreRecord> = {}): RestoreRecord {
  return {
    ...{ cluster: 'prod', number: 1, backup: 'backup-1', timeline: '000001', members: THREE },
    revision: undefined,
    ...{ token: 'token-1', bumpTo: 1000n, begunAt: NOW, by: 'root@cp1', etcdClusterId: 7n, claimed: ['m1'] },
    ...some,
  };
}

function request(some: Partial<JoinRequest> = {}): JoinRequest {
  return {
    ...{ cluster: 'prod', backup: { timeline: '000001', id: 'backup-1' }, members: THREE, own: ['m2'] },
    ...{ bump: 'auto', by: 'root@cp2' },
    firstRevision: (highWater) => highWater + 1n,
    ...some,
  };
}

const turned: RestoredMember[] = THREE.toReversed();
const twoUrls = (urls: readonly string[]): RestoredMember[] => [{ name: 'm1', peerUrls: urls }];

const JOINED: readonly (readonly [string, RestoreRecord[], JoinRequest])[] = [
  ['another member of it', [record()], request()],
  ['members in another order', [record()], request({ members: turned })],
  [
    'peer URLs in another order',
    [record({ members: twoUrls(['http://a:1', 'http://b:1']), claimed: [] })],
    request({ members: twoUrls(['http://b:1', 'http://a:1']), own: ['m1'] }),
  ],
  ['its own token and revision, said again', [record()], request({ token: 'token-1', bump: 1000n })],
  ['its revision goes on, and so is asked', [record({ bumpTo: undefined })], request({ bump: 'none' })],
  ['nothing is asked: as it was begun', [record({ bumpTo: undefined })], request()],
  ['the same restore point behind the backup', [record({ revision: 9n })], request({ revision: 9n })],
  [
    'hashes are disregarded as it was begun',
    [record({ acceptedMismatches: [7n, 9n] })],
    request({ acceptedMismatches: [9n] }),
  ],
  ['begun 23 hours ago', [record({ begunAt: hoursFromNow(-23) })], request()],
  ['begun by a clock that is 3 hours ahead', [record({ begunAt: hoursFromNow(3) })], request()],
  [
    'a rehearsal elsewhere came after it',
    [record(), record({ number: 2, members: twoUrls(['http://x:1']) })],
    request(),
  ],
];

for (const [what, records, asked] of JOINED) {
  test(`joined: ${what}`, () => {
    assert.deepEqual(chooseRestore(records, asked, NOW), { kind: 'join', record: records[0] });
  });
}

const APART: readonly (readonly [string, RestoreRecord, JoinRequest, RegExp])[] = [
  [
    'a hash is to be disregarded that it was not begun with',
    record({ acceptedMismatches: [7n] }),
    request({ acceptedMismatches: [7n, 9n] }),
    /without --accept-hash-mismatch 9/,
  ],
  ['the member was made for it', record(), request({ own: ['m1'] }), /m1 was made for it/],
  ['some of its members were made', record(), request({ own: ['m1', 'm2'] }), /m1 was made/],
  ['another backup', record({ backup: 'backup-0' }), request(), /it restores backup backup-0/],
  ['a restore point behind it', record(), request({ revision: 9n }), /it restores the backup alone/],
  ['another restore point', record({ revision: 8n }), request({ revision: 9n }), /it restores revision 8/],
  ['another token', record(), request({ token: 'mine' }), /its token is token-1/],
  ['another revision', record(), request({ bump: 2000n }), /its revisions start at 1000/],
  ['no bump is asked for', record(), request({ bump: 'none' }), /its revisions start at 1000/],
  ['it has no bump', record({ bumpTo: undefined }), request({ bump: 1000n }), /its revisions go on/],
  ['it is a day old', record({ begunAt: new Date(NOW.getTime() - JOIN_WITHIN_MS) }), request(), /24 hours/],
  ['a clock is a day ahead', record({ begunAt: hoursFromNow(24) }), request(), /24 hours/],
];

for (const [what, before, asked, why] of APART) {
  test(`begun anew: ${what}`, () => {
    const choice = chooseRestore([before], asked, NOW);
    assert.ok(choice.kind === 'begin' && choice.apartFrom !== undefined);
    assert.equal(choice.apartFrom.record, before);
    assert.match(choice.apartFrom.why, why);
  });
}

test('the first restore of these members begins, apart from none', () => {
  const elsewhere = record({ members: twoUrls(['http://x:1']) });
  assert.deepEqual(chooseRestore([elsewhere], request(), NOW), { kind: 'begin', apartFrom: undefined });
});

test('an older restore is not joined again once a newer one to the same members began', () => {
  const newer = record({ number: 2, backup: 'backup-2', claimed: ['m1', 'm2', 'm3'] });
  const choice = chooseRestore([record(), newer], request(), NOW);
  assert.ok(choice.kind === 'begin');
  assert.equal(choice.apartFrom?.record, newer);
});

test('a number that is asked for is joined whatever was made for it, and however old it is', () => {
  const old = record({ begunAt: hoursFromNow(-1000), claimed: ['m1', 'm2', 'm3'] });
  const choice = chooseRestore([old, record({ number: 2 })], request({ number: 1 }), NOW);
  assert.deepEqual(choice, { kind: 'join', record: old });
});

test('a number that is not there, or is of another restore, is refused', () => {
  const refusals: readonly (readonly [JoinRequest, string, RegExp])[] = [
    [request({ number: 2 }), 'repository.not-found', /no restore 2/],
    [request({ number: 1, backup: { timeline: '000001', id: 'b' } }), 'repository.other-restore', /backup-1/],
    [request({ number: 1, members: turned.slice(1) }), 'repository.other-restore', /m3=http:\/\/m3:2380/],
    [request({ number: 1, bump: 'none' }), 'repository.other-restore', /start at 1000/],
  ];
  for (const [asked, code, told] of refusals) {
    assert.throws(
      () => chooseRestore([record()], asked, NOW),
      (error) => hasCode(error, code) && told.test(error.message) && error.hint !== undefined,
    );
  }
});

function hoursFromNow(hours: number): Date {
  return new Date(NOW.getTime() + hours * 3_600_000);
}
