import { type Clock, systemClock } from '../clock.ts';
import { LocalStore } from './local-store.ts';
import type { ObjectStore } from './object-store.ts';
import { RateLimitedStore, type RateLimits } from './rate-limited-store.ts';
import { RetryingStore } from './retrying-store.ts';
import { callRetries, partRetries, type Retry } from './retry-policy.ts';
import type { StoreSettings } from './store-url.ts';

export interface StoreDependencies {
  readonly clock?: Clock | undefined;
  /** In [0, 1), for the waits between attempts. */
  readonly random?: (() => number) | undefined;
  /** Told of each failure that is repeated. */
  readonly onRetry?: ((retry: Retry) => void) | undefined;
  readonly limits?: RateLimits | undefined;
}

/**
 * The store as everybody uses it: with retries and, if asked for, limits. Touches neither store nor network yet. The
 * client of S3 takes time and memory to load, so only who uses it loads it.
 */
export async function openStore(
  settings: StoreSettings,
  dependencies: StoreDependencies = {},
): Promise<ObjectStore> {
  const { clock = systemClock, random = Math.random, onRetry, limits } = dependencies;
  const store =
    settings.kind === 'local'
      ? new LocalStore(settings.folder, { clock })
      : new (await import('./s3-store.ts')).S3Store(settings, {
          clock,
          retries: { ...partRetries, random, onRetry },
        });
  const retrying = new RetryingStore(store, { ...callRetries, random, onRetry });
  return limits === undefined ? retrying : new RateLimitedStore(retrying, limits);
}
