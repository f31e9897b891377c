import { damagedDocument } from './document.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_EVENTS } from './segment-batch.ts';
import type { SegmentHead } from './segment-head.ts';

/**
 * Throws `repository.damaged` for a head that contradicts itself, so that whoever reads one may rely on its figures:
 * ranges, sums, order, and bounds of what a reader must hold.
 */
export function checkSegmentHead(head: SegmentHead, name: string): void {
  const fault = rangeFault(head) ?? batchFault(head) ?? timeFault(head);
  if (fault !== undefined) throw damagedDocument(name, `its head can't be right: ${fault}`);
}

/** No etcd counts further; so hot paths work in plain numbers. */
const REVISION_LIMIT = 2n ** 53n;

function rangeFault({ index, from, to, base, gap }: SegmentHead): string | undefined {
  if (from < 0n || to <= from || to >= REVISION_LIMIT) return `it goes from revision ${from} to ${to}`;
  if ((index === 0) !== (base !== undefined)) return `it is number ${index} and tells ${base ?? 'no'} base`;
  if (base !== undefined && (base < from || base >= to))
    return `its base ${base} is not between ${from} and ${to}`;
  if (index > 0 && gap !== undefined) return `number ${index} tells a gap before it`;
  return undefined;
}

function batchFault(head: SegmentHead): string | undefined {
  const { from, to, events, puts, batches, storedSize, recipients } = head;
  let [counted, stored, after] = [0, 0, from];
  for (const { events: count, size, plainSize, first } of batches) {
    if (count === 0 || count > MAX_BATCH_EVENTS || size === 0 || plainSize > MAX_BATCH_BYTES) {
      return `a batch of ${count} events, ${plainSize} bytes`;
    }
    if (counted === 0 ? first !== from + 1n : first < after) return `a batch begins at revision ${first}`;
    if (first > to) return `a batch begins at revision ${first}, behind its end`;
    after = first;
    counted += count;
    stored += size;
  }
  if (counted !== events || puts > events)
    return `${counted} events in batches of ${events} with ${puts} puts`;
  if (BigInt(events) < to - from) return `${events} events in ${to - from} revisions`;
  if (recipients.length === 0 ? stored !== storedSize : stored >= storedSize) {
    return `batches of ${stored} bytes in ${storedSize}`;
  }
  return undefined;
}

function timeFault({ from, to, times }: SegmentHead): string | undefined {
  let [revision, time] = [from, 0];
  for (const [seen, at] of times) {
    if (seen <= revision || at.getTime() < time) return `revision ${seen} has its time out of order`;
    [revision, time] = [seen, at.getTime()];
  }
  return revision === to ? undefined : `revision ${to} has no time`;
}
