import { GuardianError } from '../guardian-error.ts';
import type { Requester } from './api/etcd-backup-spec.ts';

/** Node sends a header with several values as several lines of the same name. */
export type Headers = Readonly<Record<string, string | readonly string[]>>;

/**
 * The headers that make the API server judge a call by this user's rights. Throws `kubernetes.invalid` for a user that
 * headers can't name exactly: one who would arrive as another must not be tried at all, and with no name at all the call
 * would run with our own rights.
 */
export function impersonationHeaders(requester: Requester): Headers {
  const { username, uid, groups = [], extra = {} } = requester;
  if (username === '') throw invalid('a user without a name');
  const headers: Record<string, string | string[]> = { 'impersonate-user': headerValue(username) };
  if (uid !== undefined && uid !== '') headers['impersonate-uid'] = headerValue(uid);
  if (groups.length > 0) headers['impersonate-group'] = groups.map(headerValue);
  for (const [key, values] of Object.entries(extra)) {
    if (values.length > 0) headers[`impersonate-extra-${headerKey(key)}`] = values.map(headerValue);
  }
  return headers;
}

/** As UTF-8, which Go's server reads and Node writes only as single bytes. */
function headerValue(value: string): string {
  // Servers cut white space off both ends: "admin " would be admin.
  if (value !== value.trim() || /\p{Cc}/u.test(value) || !value.isWellFormed())
    throw invalid(`${JSON.stringify(value)} in the user's name, uid, groups or extra`);
  return Buffer.from(value, 'utf8').toString('latin1');
}

/**
 * The API server makes header names lower-case, then decodes `%xx`: what isn't lower-case already is written so, and
 * comes out as it was.
 */
function headerKey(key: string): string {
  if (key === '' || !key.isWellFormed()) throw invalid('a key of the user’s extra without a name');
  return [...Buffer.from(key, 'utf8')]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[a-z0-9._-]/.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

function invalid(what: string): GuardianError {
  return new GuardianError('kubernetes.invalid', `the API can't be asked on behalf of ${what}`, {
    hint: 'use an account whose name, groups and extra have no control characters and no space at their ends',
  });
}
