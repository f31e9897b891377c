import type { ObjectStore } from './object-store.ts';

/** What holds of every store, by name. */
export type Rules = Record<string, (store: ObjectStore) => Promise<void>>;
