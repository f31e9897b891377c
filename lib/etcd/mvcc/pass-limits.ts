import { totalmem } from 'node:os';

const MIB = 2 ** 20;

/** How much of a file a pass may keep, in bytes. */
export interface PassLimits {
  /** MVCC entries, 24 to 56 each, of pages that may be live or stale. */
  readonly records: number;
  /** Branches, and leaves that hold no records. */
  readonly kept: number;
  /** Unfinished overflowing pages. */
  readonly gathered: number;
  /** So much more once a page is known to be live. */
  readonly liveRecords: number;
  readonly liveKept: number;
}

/**
 * Limits for a pass over a file of unknown origin, in a process that may use `memoryBytes`.
 *
 * What is live shows only at the end, so a pass has to keep of every page what a verdict may need, and a forged file can
 * be nothing but pages that look worth keeping. Where bytes can be had again, little is kept at first, enough for 3
 * million entries, and what turns out to be live is read once more: garbage can't make it take more than 300 MB. Of a
 * stream everything has to be kept at once. What is live is limited only by the memory that there is: a large database
 * is no attack.
 */
export function passLimits(canReread: boolean, memoryBytes: number): PassLimits {
  const forRecords = Math.floor((memoryBytes - BESIDE_TABLES) * RECORDS_SHARE);
  const most = Math.min(Math.max(forRecords, FEWEST_RECORDS), MOST_RECORDS);
  return canReread
    ? { records: FEWEST_RECORDS, kept: 32 * MIB, gathered: 16 * MIB, liveRecords: most, liveKept: 96 * MIB }
    : { records: most, kept: 96 * MIB, gathered: 64 * MIB, liveRecords: most, liveKept: 96 * MIB };
}

/** Node itself, buffers on their way, and (10 GB) the index of pages. */
const BESIDE_TABLES = 192 * MIB;
/** The rest is for branches, for linking the entries, and for what else the process does. */
const RECORDS_SHARE = 0.75;
/** 3 million usual entries. */
const FEWEST_RECORDS = 96 * MIB;
/** 16 million: more than a database of 10 GB holds, with all its free pages. */
const MOST_RECORDS = 448 * MIB;

/** What this process may use: its container's limit, or the machine's memory. */
export function processMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
