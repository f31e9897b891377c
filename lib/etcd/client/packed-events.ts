import type { Buffer } from 'node:buffer';

/**
 * Events as they lie in the message that etcd sent, so that a capture of everything costs no object for each. Whoever
 * gets them may use them until the next ones are asked for: the arrays, which may be longer than `count`, are used again.
 */
export interface PackedEvents {
  /** The message; not used again, so parts of it may be kept. */
  readonly bytes: Buffer;
  readonly count: number;
  /** Main revisions, all below 2^53. */
  readonly revisions: Float64Array;
  /** 1 where the key was deleted. */
  readonly tombstones: Uint8Array;
  /** `bytes[starts[i], ends[i])` is the value that bucket `key` holds: of a put as etcd sent it, of a deletion the key alone. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  /** The halves of the id of the lease that a put is attached to; both 0 when there is none. */
  readonly leaseHighs: Uint32Array;
  readonly leaseLows: Uint32Array;
}
