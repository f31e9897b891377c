import type { S3Server } from '../../test/harness/s3.ts';
import { type RetryPolicy, partRetries } from './retry-policy.ts';
import type { S3Settings } from './s3-settings.ts';
import { S3Store } from './s3-store.ts';

/** Waits of milliseconds, so that tests of bad days don't sleep. */
export const impatient: RetryPolicy = { ...partRetries, attempts: 12, firstDelayMs: 1, longestDelayMs: 5 };

let prefixes = 0;

/** Settings for a part of a bucket that nobody else uses; `changes` to go through a proxy, with other keys … */
export function bucketSettings(server: S3Server, changes: Partial<S3Settings> = {}): S3Settings {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  return {
    kind: 's3',
    bucket: 'backups',
    prefix: `test-${(prefixes += 1)}`,
    endpoint,
    credentials: { kind: 'static', accessKeyId, secretAccessKey },
    ...changes,
  };
}

export function openBucket(server: S3Server, changes: Partial<S3Settings> = {}): S3Store {
  return new S3Store(bucketSettings(server, changes), { retries: impatient });
}
