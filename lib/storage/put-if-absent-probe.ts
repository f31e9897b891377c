import { randomUUID } from 'node:crypto';
import { hasCode } from '../guardian-error.ts';
import type { ObjectStore, StoreCallOptions } from './object-store.ts';

const RACERS = 4;

/**
 * Whether the store really refuses a second writer. Some accept the condition and ignore it: then two writers could
 * replace each other's objects, unnoticed. Tries it on two small objects below `.probe/`, one written twice in turn
 * and one by several at once, and removes them (an Object Lock default of the bucket may keep them).
 *
 * Rejects with what a store rejects with when it can't be written at all.
 */
export async function probePutIfAbsent(store: ObjectStore, options: StoreCallOptions = {}): Promise<boolean> {
  const inTurn = `.probe/${randomUUID()}`;
  const atOnce = `.probe/${randomUUID()}`;
  try {
    await store.putIfAbsent(inTurn, Buffer.from('the first'), options);
    if (!(await isRefused(store.putIfAbsent(inTurn, Buffer.from('a second'), options)))) return false;
    const racers = Array.from({ length: RACERS }, (_, racer) =>
      isRefused(store.putIfAbsent(atOnce, Buffer.from(`racer ${racer}`), options)),
    );
    const refused = await Promise.all(racers);
    return refused.filter((one) => !one).length === 1;
  } finally {
    for (const name of [inTurn, atOnce]) await store.delete(name).catch(() => undefined);
  }
}

async function isRefused(writing: Promise<unknown>): Promise<boolean> {
  try {
    await writing;
    return false;
  } catch (error) {
    if (hasCode(error, 'store.exists')) return true;
    throw error;
  }
}
