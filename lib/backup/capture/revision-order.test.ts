import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32c } from '../../etcd/crc32c.ts';
import type { PackedEvents } from '../../etcd/client/packed-events.ts';
import { encodeRevisionKey } from '../../etcd/mvcc/revision.ts';
import { RevisionOrder } from './revision-order.ts';

/** `12 12 13x`: two puts at revision 12, a deletion at 13; `12=b` is a put of another value. */
function events(text: string): PackedEvents {
  const words = text.split(' ').filter((word) => word !== '');
  const values = words.map((word) => Buffer.from(word));
  let at = 0;
  const starts = values.map((value) => (at += value.length) - value.length);
  return {
    bytes: Buffer.concat(values),
    count: words.length,
    revisions: Float64Array.from(words, (word) => Number.parseInt(word, 10)),
    tombstones: Uint8Array.from(words, (word) => Number(word.endsWith('x'))),
    starts: Uint32Array.from(starts),
    ends: Uint32Array.from(starts, (start, index) => start + (values[index]?.length ?? 0)),
    leaseHighs: new Uint32Array(words.length),
    leaseLows: new Uint32Array(words.length),
  };
}

const orderAfter = (after: bigint): RevisionOrder => new RevisionOrder({ after, mark: undefined });

describe('the order of revisions', () => {
  test('a revision is whole when the next begins, or a piece ends that has no further one', () => {
    const order = orderAfter(4n);
    assert.equal(order.accept(events('5 5 6'), true), 0);
    assert.equal(order.whole, 5);
    assert.equal(order.accept(events('6 6'), true), 0);
    assert.equal(order.whole, 5);
    assert.equal(order.accept(events('6x'), false), 0);
    assert.equal(order.whole, 6);
    assert.equal(order.accept(events(''), false), 0);
    assert.equal(order.whole, 6);
  });

  test('what was accepted before is passed over', () => {
    const order = orderAfter(4n);
    assert.equal(order.accept(events('3 4 4x 5 6'), false), 3);
    assert.equal(order.accept(events('5 6'), false), 2);
    assert.equal(order.accept(events('6 7'), false), 1);
    assert.equal(order.whole, 7);
  });

  test('a connection lost within a revision goes on behind what was accepted of it', () => {
    const order = orderAfter(4n);
    order.accept(events('5 6 6x 6'), true);
    assert.equal(order.whole, 5);
    assert.equal(order.reconnect(false), 5n);
    assert.equal(order.accept(events('5 6'), true), 2, 'the piece is cut elsewhere this time');
    assert.equal(order.accept(events('6x 6 6 7'), false), 2);
    assert.equal(order.whole, 7);
  });

  test('a revision that has become shorter is another history', () => {
    for (const [piece, more] of [
      ['5 6 6', false],
      ['5 6 7', true],
    ] as const) {
      const order = orderAfter(4n);
      order.accept(events('5 6 6x 6'), true);
      order.reconnect(false);
      assert.throws(() => order.accept(events(piece), more), { code: 'capture.history-differs' });
    }
  });

  test('a hole is refused, whatever comes with it', () => {
    for (const piece of ['6', '5 7', '5 5 8x']) {
      const order = orderAfter(4n);
      assert.throws(() => order.accept(events(piece), false), { code: 'capture.revision-missing' });
      assert.equal(order.whole, 4, 'nothing of the piece was taken');
    }
  });

  test('events in no order are refused as a whole, so that another connection can bring them again', () => {
    const order = orderAfter(4n);
    assert.throws(() => order.accept(events('5 6 5'), false), { code: 'etcd.protocol', retryable: true });
    assert.equal(order.whole, 4);
    order.reconnect(true);
    assert.equal(order.accept(events('5 6'), false), 0);
  });

  test('a new connection begins at the last revision, and must show it', () => {
    const order = orderAfter(4n);
    order.accept(events('5=a 6=b 6x'), false);
    assert.equal(order.reconnect(true), 6n);
    assert.equal(order.accept(events('6=b 6x 7x 8ax 8bx'), false), 2);
    assert.equal(order.reconnect(true), 8n);
    assert.equal(order.accept(events('8ax 8bx 9'), false), 2);
    assert.equal(order.reconnect(true), 9n);
  });

  test('deletions are recognised too, unless a compaction left them out', () => {
    const order = (): RevisionOrder => {
      const deleted = orderAfter(4n);
      deleted.accept(events('5=a 6x'), false);
      assert.equal(deleted.reconnect(true), 6n);
      return deleted;
    };
    assert.equal(order().accept(events('7'), false), 0);
    for (const piece of ['6=c 7', '6otherx 7'])
      assert.throws(() => order().accept(events(piece), false), { code: 'capture.history-differs' }, piece);
  });

  test('a put of a revision that is not whole yet is none to begin at', () => {
    const order = orderAfter(4n);
    order.accept(events('5=a 6=b'), true);
    assert.equal(order.whole, 5, 'the next piece may go on with revision 6');
    assert.equal(order.reconnect(true), 5n);
    assert.equal(order.accept(events('5=a 6=b'), true), 2);
    assert.equal(order.accept(events('6=c 7'), false), 0);
    assert.equal(order.reconnect(true), 7n);
  });

  test('a put that moved within its revision is still recognised: deletions at a compaction may be gone', () => {
    const order = orderAfter(4n);
    order.accept(events('5x 5=a'), false);
    order.reconnect(true);
    assert.equal(order.accept(events('5=a 6'), false), 1);
  });

  test('another entry in its place, or none, is another history', () => {
    for (const piece of ['6=c 6x 7', '7', '6x 7', '5=a 7x']) {
      const order = orderAfter(4n);
      order.accept(events('5=a 6=b 6x'), false);
      order.reconnect(true);
      assert.throws(() => order.accept(events(piece), false), { code: 'capture.history-differs' }, piece);
    }
  });

  test('the mark that it begins with is as manifests hold their anchors', () => {
    const value = Buffer.from('40=a');
    const key = encodeRevisionKey({ main: 40n, sub: 0n });
    const mark = { main: 40n, sub: 0n, checksum: crc32c(Buffer.concat([key, value])), size: 21 };
    const order = new RevisionOrder({ after: 42n, mark });
    assert.equal(order.reconnect(true), 40n);
    assert.equal(order.accept(events('40=a 41 42 43'), false), 3);
    const other = new RevisionOrder({ after: 42n, mark: { ...mark, checksum: 1 } });
    other.reconnect(true);
    assert.throws(() => other.accept(events('40=a 41 42 43'), false), { code: 'capture.history-differs' });
    assert.equal(other.reconnect(false), 42n, 'without recognising');
    assert.equal(other.accept(events('42 43'), false), 1);
  });

  test('an empty store begins at its first revision', () => {
    assert.equal(orderAfter(0n).reconnect(true), 1n);
    assert.equal(orderAfter(1n).accept(events('2'), false), 0);
  });
});
