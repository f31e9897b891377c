import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { checkSegmentHead } from './check-segment-head.ts';
import { encodeDocument, MAX_DOCUMENT_BYTES } from './document.ts';
import { MAX_TIMES } from './seen-times.ts';
import { MAX_BATCHES, type SegmentHead, segmentHeadDocument } from './segment-head.ts';

const AT = new Date('2026-11-22T05:30:00Z');
const HEAD: SegmentHead = {
  ...{ formatVersion: 1, cluster: 'prod', timeline: '000001', chain: '20261122T053000Z-9f3ac1d0', index: 3 },
  ...{ from: 10n, to: 14n, predecessor: '0'.repeat(64), etcdClusterId: 1n, tool: 'etcdguardian test' },
  writer: { id: 1n, kind: 'capture', sealIntervalMs: 1000 },
  ...{ openedAt: AT, sealedAt: AT, events: 6, puts: 4, plainSize: 600 },
  batches: [
    { events: 4, size: 100, plainSize: 300, first: 11n },
    { events: 2, size: 50, plainSize: 200, first: 13n },
  ],
  ...{ storedSize: 150, sha256: '0'.repeat(64), recipients: [] },
  times: [
    [12n, AT],
    [14n, AT],
  ],
  leases: { complete: false, granted: [], gone: [] },
  proofs: [],
};
const [FIRST = { events: 0, size: 0, plainSize: 0, first: 0n }, SECOND = FIRST] = HEAD.batches;
const LATER = new Date(AT.getTime() + 1);

test('a head that agrees with itself is taken', () => {
  const recipients = [{ id: 'aes:1', kind: 'aes-256' }];
  for (const head of [
    HEAD,
    { ...HEAD, index: 0, base: 10n, gap: { after: 3n, reason: 'compacted' } },
    { ...HEAD, index: 0, base: 13n },
    { ...HEAD, recipients, storedSize: 900 },
    { ...HEAD, batches: [FIRST, { ...SECOND, first: 11n }] },
  ]) {
    checkSegmentHead(head, 'segment');
  }
});

test('a head that contradicts itself is damaged', () => {
  const wrong: Record<string, Partial<SegmentHead>> = {
    'an empty range': { to: 10n },
    'a negative one': { from: -1n },
    'one that no etcd reaches': { from: 2n ** 53n, to: 2n ** 53n + 4n },
    'a first segment without base': { index: 0 },
    'a base in the middle': { base: 10n },
    'a base behind its end': { index: 0, base: 14n },
    'a base before its begin': { index: 0, base: 9n },
    'a gap in the middle': { gap: { after: 3n, reason: 'x' } },
    'an empty batch': { batches: [FIRST, { ...SECOND, events: 0 }], events: 4 },
    'a giant batch': { batches: [FIRST, { ...SECOND, plainSize: 1 << 30 }] },
    'a batch of too many': { batches: [FIRST, { ...SECOND, events: 1 << 20 }], events: 4 + (1 << 20) },
    'a batch without bytes': { batches: [FIRST, { ...SECOND, size: 0 }], storedSize: 100 },
    'a first batch elsewhere': { batches: [{ ...FIRST, first: 12n }, SECOND] },
    'batches out of order': {
      batches: [FIRST, SECOND, { ...SECOND, first: 12n }],
      events: 8,
      storedSize: 200,
    },
    'a batch behind the end': { batches: [FIRST, { ...SECOND, first: 15n }] },
    'no batches': { batches: [], events: 0, puts: 0, storedSize: 0 },
    'other sums of events': { events: 7 },
    'more puts than events': { puts: 7 },
    'fewer events than revisions': { batches: [{ ...FIRST, events: 3 }], events: 3, storedSize: 100 },
    'other sums of bytes': { storedSize: 151 },
    'sealed into fewer bytes': { recipients: [{ id: 'aes:1', kind: 'aes-256' }] },
    'no times': { times: [] },
    'no time of its end': { times: [[13n, AT]] },
    'times that go back': {
      times: [
        [13n, LATER],
        [14n, AT],
      ],
    },
    'revisions that go back': {
      times: [
        [13n, AT],
        [12n, AT],
        [14n, AT],
      ],
    },
    'a time of another segment': {
      times: [
        [10n, AT],
        [14n, AT],
      ],
    },
  };
  for (const [what, over] of Object.entries(wrong)) {
    assert.throws(
      () => {
        checkSegmentHead({ ...HEAD, ...over }, 'segment 7');
      },
      (error) => hasCode(error, 'repository.damaged') && error.message.startsWith('segment 7 is damaged'),
      what,
    );
  }
});

test('the largest head that may be written fits a document', () => {
  const id = 2n ** 64n - 1n;
  const largest = 9_007_199_254_740_991n;
  const fill = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item);
  const document = encodeDocument(
    segmentHeadDocument,
    {
      ...HEAD,
      batches: fill(MAX_BATCHES, { events: 1 << 16, size: 64 << 20, plainSize: 64 << 20, first: largest }),
      times: fill<[bigint, Date]>(MAX_TIMES, [largest, AT]),
      leases: { complete: true, granted: fill<[bigint, bigint]>(8192, [id, 86_400n]), gone: fill(8192, id) },
      proofs: fill(64, { hash: 2 ** 32 - 1, revision: largest, compactRevision: largest, memberId: id }),
    },
    undefined,
  );
  assert.ok(document.length < MAX_DOCUMENT_BYTES * 0.9, String(document.length));
});
