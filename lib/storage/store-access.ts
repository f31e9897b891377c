import { join, normalize } from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import type { NetworkRule } from './network-rule.ts';
import { isObjectName } from './object-name.ts';
import type { S3Credentials } from './s3-settings.ts';
import type { StoreSettings } from './store-url.ts';

/** Where backups lie, as `storageLocation` of an EtcdBackup has it. */
export interface StorageLocation {
  readonly provider: string;
  /** The path of a folder for Local. */
  readonly bucket: string;
  readonly prefix?: string | undefined;
  readonly region?: string | undefined;
  /** `http(s)://host[:port]`; left out: the provider's own in that region. */
  readonly endpoint?: string | undefined;
  /** Where connections may lead; left out: anywhere. */
  readonly network?: NetworkRule | undefined;
}

/** What opens a store. */
export interface StoreSecret {
  /** The keys of the Secret; empty: the identity of this process. */
  readonly values: Readonly<Record<string, string>>;
  /** Names it in messages, e.g. `Secret prod/s3-credentials`. */
  readonly from: string;
  /** PEM, for a server whose certificate is not of a public authority. */
  readonly ca?: string | undefined;
}

/**
 * How to reach the store that a location names, with what a Secret holds: `access-key-id` and `secret-access-key`, on
 * demand `session-token`, or the same as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Throws
 * `store.settings`, which names what is missing or wrong and repeats no secret, and `store.unsupported`.
 */
export function storeAccess(location: StorageLocation, secret: StoreSecret): StoreSettings {
  switch (location.provider) {
    case 'S3':
      return s3(location, secret);
    case 'Local':
      return local(location);
    case 'OSS':
    case 'GCS':
    case 'Azure':
      throw new GuardianError(
        'store.unsupported',
        `storage provider ${location.provider} isn't supported by this version`,
        { hint: HINTS[location.provider] },
      );
    default:
      throw wrong(`the storage provider is ${shown(location.provider)}`, 'It is S3 or Local.');
  }
}

const HINTS = {
  OSS: "Use provider S3 with OSS's S3-compatible endpoint, e.g. https://s3.oss-cn-hangzhou.aliyuncs.com, and the Secret keys access-key-id and secret-access-key (which OSS calls access-key-secret).",
  GCS: 'Use provider S3 with endpoint https://storage.googleapis.com and an HMAC key as access-key-id and secret-access-key.',
  Azure: 'Use provider S3 or Local, e.g. with an S3 gateway in front of the container.',
} as const;

function s3(
  { bucket, prefix = '', region, endpoint, network }: StorageLocation,
  secret: StoreSecret,
): StoreSettings {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw wrong(`${shown(bucket)} is no name of a bucket`, 'Bucket names have 3 to 63 of a-z 0-9 . -.');
  return {
    kind: 's3',
    bucket,
    prefix: prefixOf(prefix),
    ...(region === undefined || region === '' ? {} : { region }),
    ...(endpoint === undefined || endpoint === '' ? {} : { endpoint: endpointOf(endpoint) }),
    ...(secret.ca === undefined || secret.ca === '' ? {} : { ca: { pem: secret.ca } }),
    credentials: credentialsOf(secret),
    ...(network === undefined ? {} : { network }),
  };
}

function prefixOf(prefix: string): string {
  const plain = prefix.replace(/\/+$/, '');
  if (plain === '' || (isObjectName(plain) && plain.length <= LONGEST_PREFIX)) return plain;
  throw wrong(
    `${shown(prefix)} is no prefix`,
    `Prefixes have up to ${LONGEST_PREFIX} of A-Z a-z 0-9 . _ - and single slashes, none at the beginning.`,
  );
}

const LONGEST_PREFIX = 200;

function endpointOf(endpoint: string): string {
  const url = URL.parse(endpoint);
  const plain =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    [url.username, url.password, url.search, url.hash].every((part) => part === '') &&
    url.pathname === '/';
  if (plain) return url.origin;
  throw wrong(
    'the endpoint of the store is no http(s)://host:port',
    'An endpoint has no path, query, user or password.',
  );
}

/** Kubernetes' own custom names, and those of the variables that the AWS tools read. */
const NAMES = {
  accessKeyId: ['access-key-id', 'AWS_ACCESS_KEY_ID'],
  secretAccessKey: ['secret-access-key', 'AWS_SECRET_ACCESS_KEY'],
  sessionToken: ['session-token', 'AWS_SESSION_TOKEN'],
} as const;

function credentialsOf({ values, from }: StoreSecret): S3Credentials {
  const given = new Map(Object.entries(values).map(([name, value]) => [name, value.trim()]));
  if (given.size === 0) return { kind: 'environment' };
  const find = (names: readonly string[]): string | undefined =>
    names.map((name) => given.get(name)).find((value) => value !== undefined && value !== '');
  const need = (names: readonly string[]): string => {
    const value = find(names);
    if (value !== undefined) return value;
    const [name] = names;
    throw wrong(
      `${from} has no ${name}`,
      given.has('access-key-secret')
        ? 'access-key-secret is what OSS calls it; for S3 the key is secret-access-key.'
        : `It has the keys ${[...given.keys()].slice(0, 10).map(shown).join(', ')}; S3 needs access-key-id and secret-access-key.`,
    );
  };
  const sessionToken = find(NAMES.sessionToken);
  return {
    kind: 'static',
    accessKeyId: need(NAMES.accessKeyId),
    secretAccessKey: need(NAMES.secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

function local({ bucket, prefix = '' }: StorageLocation): StoreSettings {
  const folder = join(bucket, prefixOf(prefix));
  const plain = bucket.startsWith('/') && normalize(bucket).replace(/\/$/, '') === bucket.replace(/\/$/, '');
  if (plain && folder !== '/' && !bucket.includes('\0')) return { kind: 'local', folder };
  throw wrong(
    `${shown(bucket)} is no folder for backups`,
    'With provider Local, bucket is the absolute path of a folder on the node, with no "." or ".." in it.',
  );
}

/** What comes from a user goes to logs: escaped, and not endless. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function wrong(message: string, hint: string): GuardianError {
  return new GuardianError('store.settings', message, { hint });
}
