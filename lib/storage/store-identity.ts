import type { StoreSettings } from './store-url.ts';

/**
 * Tells a store from every other one that a machine may meet. `location`, which is for people, doesn't: two S3 servers
 * may each have a bucket of that name. Amazon's bucket names are unique, however they are reached.
 */
export function storeIdentity(location: string, settings: StoreSettings): string {
  if (settings.kind === 'local' || settings.endpoint === undefined) return location;
  const url = URL.parse(settings.endpoint);
  if (url !== null && /(^|\.)amazonaws\.com(\.cn)?$/.test(url.hostname)) return location;
  return `${location}?endpoint=${url?.origin ?? settings.endpoint}`;
}
