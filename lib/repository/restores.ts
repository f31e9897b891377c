import { identifyCluster } from '../etcd/datadir/member-identity.ts';
import { GuardianError, hasCode, reasonOf } from '../guardian-error.ts';
import { damagedDocument, encodeDocument, FORMAT_VERSION, readDocument } from './document.ts';
import { parseName, restoreClaimName, restoreName, restoresFolder } from './layout.ts';
import { misplaced } from './misplaced.ts';
import { orderedAhead } from './ordered-ahead.ts';
import type { RepositorySettings } from './repository.ts';
import { type KnownRestores, restoreDocument, type RestoreRecord } from './restore-record.ts';

/** See `Repository.listRestores`. */
export async function readRestores(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<KnownRestores> {
  const numbers: number[] = [];
  const claims = new Set<string>();
  let last = 0;
  for await (const { name } of settings.store.list(restoresFolder(cluster), { signal })) {
    const named = parseName(name);
    if (named?.kind === 'restore') numbers.push(named.number);
    else if (named?.kind === 'restore-claim') claims.add(name);
    else continue;
    last = Math.max(last, named.number);
  }
  const records: RestoreRecord[] = [];
  const problems: GuardianError[] = [];
  const read = (number: number): Promise<RestoreRecord | GuardianError> =>
    readRestore(settings, cluster, number, claims, signal);
  for await (const found of orderedAhead(numbers, READS_AT_ONCE, read)) {
    if (found instanceof GuardianError) problems.push(found);
    else records.push(found);
  }
  return { records, problems, last };
}

const READS_AT_ONCE = 8;

/** Whether a recorded restore of the cluster explains that etcd shows this cluster id. */
export async function wasRestoredAs(
  settings: RepositorySettings,
  cluster: string,
  etcdClusterId: bigint,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { records } = await readRestores(settings, cluster, signal);
  return records.some((record) => record.etcdClusterId === etcdClusterId);
}

/** Writes the record of a restore that begins; resolves to undefined when its number is taken: look again. */
export async function beginRestore(
  { store, signer, tool }: RepositorySettings,
  restore: Omit<RestoreRecord, 'etcdClusterId' | 'claimed'>,
  signal: AbortSignal | undefined,
): Promise<RestoreRecord | undefined> {
  const members = restore.members.map(({ name, peerUrls }) => ({ name, peerUrls: [...peerUrls] }));
  const acceptedMismatches = restore.acceptedMismatches && [...restore.acceptedMismatches];
  const document = { formatVersion: FORMAT_VERSION, ...restore, acceptedMismatches, members, tool };
  const bytes = encodeDocument(restoreDocument, document, signer);
  try {
    await store.putIfAbsent(restoreName(restore.cluster, restore.number), bytes, { signal });
    return { ...restore, etcdClusterId: clusterIdOf(restore), claimed: [] };
  } catch (error) {
    if (hasCode(error, 'store.exists')) return undefined;
    throw error;
  }
}

async function readRestore(
  { store, verifier }: RepositorySettings,
  cluster: string,
  number: number,
  claims: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<RestoreRecord | GuardianError> {
  const name = restoreName(cluster, number);
  try {
    const { value } = await readDocument(store, restoreDocument, name, verifier, signal);
    const itself = restoreName(value.cluster, value.number);
    if (itself !== name) throw misplaced(name, itself);
    const { backup, timeline, revision, members, token, bumpTo, begunAt, by, acceptedMismatches } = value;
    return {
      ...(acceptedMismatches === undefined ? {} : { acceptedMismatches }),
      ...{ cluster, number, backup, timeline, revision, members, token, bumpTo, begunAt, by },
      etcdClusterId: recordedClusterId(value, name),
      claimed: members
        .map((member) => member.name)
        .filter((one) => claims.has(restoreClaimName(cluster, number, one))),
    };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return error;
  }
}

function recordedClusterId(cluster: Pick<RestoreRecord, 'token' | 'members'>, name: string): bigint {
  try {
    return clusterIdOf(cluster);
  } catch (error) {
    throw damagedDocument(name, reasonOf(error), error);
  }
}

function clusterIdOf({ token, members }: Pick<RestoreRecord, 'token' | 'members'>): bigint {
  return identifyCluster({ token, members }).clusterId;
}
