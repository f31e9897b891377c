import { GuardianError } from '../guardian-error.ts';

/** First segment of names that stores keep for themselves (unfinished uploads of a local store). */
export const RESERVED_SEGMENT = '.uploads';

/** S3 allows 1,024 bytes for a key; the rest is left to the configured prefix. */
const LONGEST_NAME = 800;
/** What file systems allow for one file name. */
const LONGEST_SEGMENT = 255;

/** Rejects with `store.name` what is not a name as `ObjectStore` defines it. */
export function checkObjectName(name: string): void {
  const fault = faultOfName(name);
  if (fault !== undefined) throw invalid(`object name ${quoted(name)} ${fault}`);
}

export function isObjectName(name: string): boolean {
  return faultOfName(name) === undefined;
}

/** A prefix of names for listing: empty, or the beginning of a valid name, `/` at its end included. */
export function checkListPrefix(prefix: string): void {
  if (prefix === '') return;
  const completed = prefix.endsWith('/') || /(^|\/)\.{1,2}$/.test(prefix) ? `${prefix}x` : prefix;
  const fault = faultOfName(completed);
  if (fault !== undefined) throw invalid(`prefix ${quoted(prefix)} of object names ${fault}`);
}

function faultOfName(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > LONGEST_NAME) return `is longer than ${LONGEST_NAME} characters`;
  const segments = name.split('/');
  if (segments[0] === RESERVED_SEGMENT) return `lies in ${RESERVED_SEGMENT}, which holds unfinished uploads`;
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment ${segment}`;
    if (segment.length > LONGEST_SEGMENT) return `has a segment longer than ${LONGEST_SEGMENT} characters`;
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) return 'has a character other than A-Z a-z 0-9 . _ - /';
  }
  return undefined;
}

function invalid(message: string): GuardianError {
  return new GuardianError('store.name', message, {
    hint: 'Names consist of segments of A-Z a-z 0-9 . _ - separated by single slashes.',
  });
}

/** Hostile names go to terminals and logs: control characters escaped, and not endless. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}
