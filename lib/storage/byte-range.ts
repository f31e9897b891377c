import { GuardianError } from '../guardian-error.ts';
import type { ByteRange, StoredObject } from './object-store.ts';

/** `range` as offsets within `object`, `to` exclusive; rejects with `store.range` what isn't wholly within it. */
export function checkRange(
  range: ByteRange | undefined,
  object: StoredObject,
  location: string,
): { from: number; to: number } {
  const from = range?.offset ?? 0;
  const to = range?.length === undefined ? object.size : from + range.length;
  const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to);
  if (whole && from >= 0 && to >= from && to <= object.size) return { from, to };
  throw new GuardianError(
    'store.range',
    `bytes ${from} to ${range?.length === undefined ? 'the end' : to} of object ${object.name} in ${location} ` +
      `were asked for, which has ${object.size} bytes`,
  );
}
