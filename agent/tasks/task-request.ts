import type { Keys, Store } from '../../lib/agent-api/request-parts.ts';
import type { RepositoryAccess, SpoolSettings } from '../../lib/backup/task/task-repository.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { join } from 'node:path';
import type { AgentSettings } from '../settings.ts';

/** Where a request wants backups, and with which keys. Throws `agent.request`. */
export function accessOf({
  store,
  keys,
}: {
  readonly store: Store | undefined;
  readonly keys: Keys | undefined;
}): RepositoryAccess {
  if (store === undefined) {
    throw new GuardianError('agent.request', 'a request without a store', {
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
    });
  }
  const { provider, bucket, prefix, region, endpoint, credentials, ca } = store;
  const network = store.publicAddressesOnly
    ? { publicOnly: true, allowed: store.allowedAddresses }
    : undefined;
  return {
    location: { provider, bucket, prefix, region, endpoint, network },
    secret: { values: credentials, from: 'the credentials Secret', ca },
    keys: {
      encryption: keys?.encryption ?? NOTHING,
      encryptionFrom: keys?.encryptionFrom ?? '',
      signing: keys?.signing ?? NOTHING,
    },
  };
}

const NOTHING = new Uint8Array(0);

/** Where this node holds what a slow store can't take yet. */
export function spoolOf({ spoolDir, stateDir, spoolMemory, spoolDisk }: AgentSettings): SpoolSettings {
  return {
    folder: spoolDir ?? join(stateDir, 'spool'),
    memoryBytes: spoolMemory,
    diskBytes: spoolDisk,
  };
}

/** Which backups this node has seen. */
export function knownPointsOf({ stateDir }: AgentSettings): string {
  return join(stateDir, 'known-points.json');
}

export function emptyAsUndefined(text: string): string | undefined {
  return text === '' ? undefined : text;
}
