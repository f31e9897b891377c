import { describe, test } from 'node:test';
import { listingRules } from './conformance-listing.ts';
import { readingRules } from './conformance-reading.ts';
import { writingRules } from './conformance-writing.ts';
import type { ObjectStore } from './object-store.ts';

/** Opens a fresh, empty store for one test; disposing of it removes what it holds. */
export type OpenStore = () => Promise<{ readonly store: ObjectStore } & AsyncDisposable>;

/** The suite that every `ObjectStore` passes, decorated or not, on the real thing that it talks to. */
export function describeObjectStore(name: string, open: OpenStore): void {
  describe(`${name} as an object store`, () => {
    for (const rules of [writingRules, readingRules, listingRules]) {
      for (const [what, holds] of Object.entries(rules)) {
        test(what, async () => {
          await using opened = await open();
          await holds(opened.store);
        });
      }
    }
  });
}
