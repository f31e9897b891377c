import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { isObjectName } from './object-name.ts';
import type { S3Settings } from './s3-settings.ts';

export interface LocalSettings {
  readonly kind: 'local';
  /** Absolute. */
  readonly folder: string;
}

export type StoreSettings = LocalSettings | S3Settings;

const FORMS = 's3://BUCKET/PREFIX?endpoint=…&region=… or file:///FOLDER';
const S3_OPTIONS = ['endpoint', 'region', 'pathStyle', 'ca', 'objectLock', 'signPayload', 'checksum'];

/**
 * Reads `file:///folder` or `s3://bucket/prefix`, the latter with options as a query: `endpoint=https://host:port`,
 * `region=…`, `pathStyle=true|false`, `ca=/file.pem`, `objectLock=GOVERNANCE|COMPLIANCE`, `signPayload=true|false`,
 * `checksum=crc32|md5`; see `S3Settings`. Rejects with `store.url` whatever is unclear; a message repeats no
 * credentials that someone put in.
 */
export function parseStoreUrl(text: string): StoreSettings {
  const url = URL.parse(text);
  if (url === null) throw badUrl(`${withoutSecrets(text)} is no URL`);
  if (url.hash !== '') throw badUrl(`${withoutSecrets(text)} has a # part`);
  switch (url.protocol) {
    case 's3:':
      return parseS3(url, text, withoutSecrets(text));
    case 'file:':
      return parseFile(url, withoutSecrets(text));
    default:
      throw badUrl(`${withoutSecrets(text)} names no kind of store that we know`);
  }
}

function parseFile(url: URL, shown: string): LocalSettings {
  if (url.host !== '')
    throw badUrl(`${shown} names the host ${url.host}`, 'Local folders have three slashes: file:///folder.');
  if (url.search !== '') throw badUrl(`${shown} has options; a local folder takes none`);
  try {
    const folder = fileURLToPath(url);
    if (isAbsolute(folder) && folder !== '/' && !folder.includes('\0')) return { kind: 'local', folder };
  } catch (error) {
    throw badUrl(`${shown}: ${reasonOf(error)}`);
  }
  throw badUrl(`${shown} names no folder`);
}

function parseS3(url: URL, text: string, shown: string): S3Settings {
  if (url.username !== '' || url.password !== '') throw withCredentials(shown);
  if (url.port !== '')
    throw badUrl(
      `${shown} has a port`,
      'A server other than Amazon goes into ?endpoint=http(s)://host:port.',
    );
  const bucket = url.host;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw badUrl(`${shown} has no valid bucket name`, 'Bucket names have 3 to 63 of a-z 0-9 . -.');
  }
  const prefix = url.pathname.replace(/^\//, '').replace(/\/$/, '');
  // `URL` resolves `..` by itself, which would lead elsewhere than what is written.
  const asWritten = /^s3:\/\/[^/?#]*([^?#]*)/i.exec(text)?.[1] === url.pathname;
  if (!asWritten || (prefix !== '' && (!isObjectName(prefix) || prefix.length > 200))) {
    throw badUrl(
      `${shown} has no valid prefix`,
      'Prefixes have up to 200 of A-Z a-z 0-9 . _ - and single slashes.',
    );
  }
  const options = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (/secret|access.?key|token|password|credential/i.test(name)) throw withCredentials(shown);
    if (!S3_OPTIONS.includes(name)) {
      throw badUrl(
        `${shown} has the unknown option ${JSON.stringify(name)}`,
        `Options are ${S3_OPTIONS.join(', ')}.`,
      );
    }
    if (value === '' || options.has(name)) throw badUrl(`${shown} needs one value for ${name}`);
    options.set(name, value);
  }
  const ca = options.get('ca');
  const objectLock = options.get('objectLock');
  if (objectLock !== undefined && objectLock !== 'GOVERNANCE' && objectLock !== 'COMPLIANCE') {
    throw badUrl(`${shown} has objectLock=${objectLock}`, 'It is GOVERNANCE or COMPLIANCE.');
  }
  const checksum = options.get('checksum');
  if (checksum !== undefined && checksum !== 'crc32' && checksum !== 'md5') {
    throw badUrl(`${shown} has checksum=${checksum}`, 'It is crc32 or md5.');
  }
  return {
    kind: 's3',
    bucket,
    prefix,
    endpoint: endpointIn(options, shown),
    region: options.get('region'),
    pathStyle: booleanIn(options, 'pathStyle', shown),
    ca: ca === undefined ? undefined : { file: ca },
    objectLock,
    signPayload: booleanIn(options, 'signPayload', shown),
    checksum,
  };
}

function endpointIn(options: Map<string, string>, shown: string): string | undefined {
  const text = options.get('endpoint');
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.pathname !== '/'
  ) {
    throw badUrl(`${shown} has no valid endpoint`, 'An endpoint is https://host:port or http://host:port.');
  }
  if (url.username !== '' || url.password !== '') throw withCredentials(shown);
  return url.origin;
}

function booleanIn(options: Map<string, string>, name: string, shown: string): boolean | undefined {
  const value = options.get(name);
  if (value === undefined) return undefined;
  if (value !== 'true' && value !== 'false')
    throw badUrl(`${shown} has ${name}=${value}`, 'It is true or false.');
  return value === 'true';
}

/** Only what stands before options and credentials: the rest may be secret. */
function withoutSecrets(text: string): string {
  const shown = text.replace(/[?#].*$/s, '?…').replace(/\/\/[^/]*@/, '//…@');
  return JSON.stringify(shown.slice(0, 200));
}

function withCredentials(shown: string): GuardianError {
  return badUrl(
    `the store URL ${shown} holds credentials`,
    'URLs end up in logs and process lists: give credentials by AWS_* variables, a file or a role.',
  );
}

function badUrl(message: string, hint = `A store is ${FORMS}.`): GuardianError {
  return new GuardianError('store.url', message, { hint });
}
