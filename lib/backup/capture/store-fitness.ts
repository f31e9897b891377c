import { GuardianError } from '../../guardian-error.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { probePutIfAbsent } from '../../storage/put-if-absent-probe.ts';

/** Rejects with `capture.store-unfit` where two writers could overwrite each other's segments. */
export async function refuseUnfit(store: ObjectStore, signal: AbortSignal): Promise<void> {
  if (await probePutIfAbsent(store, { signal })) return;
  throw new GuardianError(
    'capture.store-unfit',
    `${store.location} lets a second writer replace an object: two captures could destroy each other's segments`,
    {
      hint: 'Use a store that honours conditional writes (If-None-Match: *), or take full backups only.',
    },
  );
}
