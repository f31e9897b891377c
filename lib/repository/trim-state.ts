import type { GuardianError } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import type { TrimmedSegments } from './trimmed-segments.ts';

/** What the documents of a chain's trimming say together. */
export interface TrimState {
  /** Ascending. */
  readonly trimmed: readonly TrimmedSegments[];
  /** Number of the last trusted document; 0: none. */
  readonly last: number;
  /** Documents that can't be read or trusted; they change nothing. */
  readonly problems: readonly GuardianError[];
  /** Older documents than the last trusted one, oldest first. */
  readonly superseded: readonly StoredObject[];
}
