import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import type { PackedEvents } from '../../etcd/client/packed-events.ts';
import { CaptureBreak, gapFact } from './capture-break.ts';
import { LeaseTable } from './lease-table.ts';
import { SEAL_LIMITS, Sealer } from './sealer.ts';
import type { RevisionPiece } from './watch-revisions.ts';

function onePut(revision: number, bytes: Buffer): PackedEvents {
  return {
    bytes,
    count: 1,
    revisions: Float64Array.of(revision),
    tombstones: Uint8Array.of(0),
    starts: Uint32Array.of(0),
    ends: Uint32Array.of(bytes.length),
    leaseHighs: Uint32Array.of(0),
    leaseLows: Uint32Array.of(0),
  };
}

test('a change that no segment can hold breaks the chain, so that a base is taken behind it', async () => {
  const nobody = {
    leases: () => Promise.reject(new Error('not asked')),
    leaseTimeToLive: () => Promise.reject(new Error('not asked')),
  };
  const sealer = new Sealer({
    after: 1n,
    writer: { id: 1n, kind: 'capture', sealIntervalMs: 10_000 },
    limits: SEAL_LIMITS,
    clock: () => new Date(0),
    leases: new LeaseTable(nobody, { listEveryMs: 60_000, signal: new AbortController().signal }),
    onSealed: () => Promise.resolve(),
  });
  const events = onePut(2, Buffer.alloc(57 << 20));
  const piece: RevisionPiece = {
    kind: 'events',
    endpoint: 'http://e',
    events,
    first: 0,
    whole: 2n,
    current: 2n,
  };
  await assert.rejects(
    sealer.add(piece),
    (error) =>
      error instanceof CaptureBreak && error.kind === 'unstorable' && error.message.includes('revision 2'),
  );
  sealer.stop();
});

test('a reason of any length can be stored', () => {
  assert.deepEqual(gapFact({ after: 7n, reason: 'compacted' }), { after: 7n, reason: 'compacted' });
  assert.equal(gapFact({ after: 7n, reason: 'x'.repeat(5000) })?.reason.length, 1024);
});
