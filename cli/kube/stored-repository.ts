import { randomBytes } from 'node:crypto';
import { taskKeys } from '../../lib/backup/task/task-keys.ts';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { Encryption, StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { TOOL } from '../../lib/program-version.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { openStore } from '../../lib/storage/open-store.ts';
import { storeAccess } from '../../lib/storage/store-access.ts';
import { CONFIG_MAPS, type DataObject, SECRETS } from './installed-resources.ts';

/** What a spec says of where its data lies; the Secrets are of its namespace. */
export interface StoredIn {
  readonly namespace: string;
  readonly storageLocation: StorageLocation;
  readonly encryption: Encryption;
}

export interface StoredRepository {
  readonly repository: Repository;
  /** Signatures were not checked, since nobody could say whose are right; the reason. */
  readonly unchecked: string | undefined;
}

/**
 * The store of a resource, opened from here with what this user may read. Rejects with `kubernetes.forbidden` and its
 * kin where the Secret can't be read, with `store.elsewhere` for a folder on a node, and as stores do.
 */
export async function openStored(
  client: KubeClient,
  { namespace, storageLocation, encryption }: StoredIn,
  systemNamespace: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<StoredRepository> {
  if (storageLocation.provider === 'Local')
    throw new GuardianError('store.elsewhere', `${storageLocation.bucket} is a folder on a node, not here`, {
      hint: 'On that node, "etcdguardian backup list --store file://…" looks into it.',
    });
  const secret = async (name: string): Promise<Readonly<Record<string, string>>> => {
    const reference = { resource: SECRETS, namespace, name };
    const { data = {} } = await client.get<DataObject>(reference, { signal });
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  };
  const { credentialsSecret } = storageLocation;
  if (credentialsSecret === undefined || credentialsSecret === '')
    throw new GuardianError(
      'store.elsewhere',
      "the store is opened with the agents' own identity, not with a Secret",
      {
        hint: 'Give --store and your own credentials to "etcdguardian backup list".',
      },
    );
  const { 'ca.crt': ca, ...values } = await secret(credentialsSecret);
  const settings = storeAccess(storageLocation, {
    ...{ values, from: `Secret ${namespace}/${credentialsSecret}`, ca },
  });
  const { verifier, unchecked } = await verifierOf(client, systemNamespace, encryption, secret, signal);
  const store = await openStore(settings, { clock });
  const repository = await openRepository({ store, verifier, clock, randomBytes, tool: TOOL }, { signal });
  return { repository, unchecked };
}

async function verifierOf(
  client: KubeClient,
  systemNamespace: string,
  { enabled, encryptionSecret }: Encryption,
  secret: (name: string) => Promise<Readonly<Record<string, string>>>,
  signal: AbortSignal,
): Promise<{
  readonly verifier: Awaited<ReturnType<typeof taskKeys>>['verifier'];
  readonly unchecked: string | undefined;
}> {
  try {
    const trust = { resource: CONFIG_MAPS, namespace: systemNamespace, name: 'etcdguardian-trust' };
    const { data } = await client.get<DataObject>(trust, { signal });
    const signing = Buffer.from(data?.['signer.pem'] ?? '');
    if (enabled) {
      const entries = Object.values(await secret(encryptionSecret ?? ''));
      const [key = ''] = entries;
      const encryptionFrom = `Secret ${encryptionSecret ?? ''}`;
      const keys = { encryption: Buffer.from(entries.length === 1 ? key : ''), encryptionFrom, signing };
      if (keys.encryption.length > 0)
        return { verifier: (await taskKeys(keys)).verifier, unchecked: undefined };
      return { verifier: undefined, unchecked: `${encryptionFrom} has several entries` };
    }
    if (signing.length === 0) return { verifier: undefined, unchecked: 'the trust ConfigMap has no signer' };
    const keys = { encryption: new Uint8Array(), encryptionFrom: '', signing };
    return { verifier: (await taskKeys(keys)).verifier, unchecked: undefined };
  } catch (error) {
    const mayNot = hasCode(error, 'kubernetes.forbidden') || hasCode(error, 'kubernetes.not-found');
    if (!mayNot) throw error;
    return { verifier: undefined, unchecked: error.message };
  }
}
