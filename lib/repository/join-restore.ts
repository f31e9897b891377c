import { Buffer } from 'node:buffer';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { chooseRestore } from './choose-restore.ts';
import { encodeDocument, FORMAT_VERSION } from './document.ts';
import { clusterHighWater } from './high-water.ts';
import { checkClusterName, restoreClaimName } from './layout.ts';
import type { CallOptions, RepositorySettings } from './repository.ts';
import {
  type JoinedRestore,
  type JoinRequest,
  restoreClaimDocument,
  type RestoreRecord,
} from './restore-record.ts';
import { beginRestore, readRestores } from './restores.ts';
import { isUnwritable } from './unwritable-store.ts';

/** See `Repository.joinRestore`. */
export async function joinRestore(
  settings: RepositorySettings,
  request: JoinRequest,
  { signal }: CallOptions = {},
): Promise<JoinedRestore> {
  checkClusterName(request.cluster);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    // 1. What restores are there?
    const { records, problems, last } = await readRestores(settings, request.cluster, signal);

    // 2. One to join, or the next one: of several that begin it at once, one does.
    const choice = chooseRestore(records, request, settings.clock());
    const begun = choice.kind === 'begin';
    const record = begun ? await begin(settings, request, last + 1, signal) : choice.record;
    if (record === undefined) continue;

    // 3. Say which members are made here: of several that make the same one, one does.
    const claims = await claim(settings, request, record, signal);
    if (claims === 'taken') continue;
    return {
      record,
      begun,
      claimed: claims !== 'denied',
      apartFrom: begun ? choice.apartFrom : undefined,
      warnings: problems,
      release: (options) => release(settings, claims === 'denied' ? [] : claims, options?.signal),
    };
  }
  throw new GuardianError(
    'repository.contended',
    `others keep beginning restores of cluster ${request.cluster} in ${settings.store.location}`,
    {
      hint: 'Is the same member restored in several places? Restore each on its own node only.',
      retryable: true,
    },
  );
}

/** Each failed attempt means that another run got further. */
const MOST_ATTEMPTS = 100;

async function begin(
  settings: RepositorySettings,
  request: JoinRequest,
  number: number,
  signal: AbortSignal | undefined,
): Promise<RestoreRecord | undefined> {
  if (number > LAST_RESTORE) {
    throw new GuardianError(
      'repository.restores-exhausted',
      `cluster ${request.cluster} has no number left for a restore`,
      { hint: 'Restore without a record, with a token and a first revision of your own.' },
    );
  }
  const { cluster, backup, revision, members, by, acceptedMismatches = [] } = request;
  const highWater = await clusterHighWater(settings, cluster, signal);
  const restore = {
    ...{ cluster, number, backup: backup.id, timeline: backup.timeline, revision, members, by },
    token: request.token ?? freshToken(settings),
    bumpTo: request.firstRevision(highWater),
    begunAt: settings.clock(),
    ...(acceptedMismatches.length === 0 ? {} : { acceptedMismatches }),
  };
  return beginRestore(settings, restore, signal);
}

const LAST_RESTORE = 999_999;

/** Never repeated, so that members of two restores never have the same cluster id. */
function freshToken({ randomBytes }: RepositorySettings): string {
  return `etcdguardian-${Buffer.from(randomBytes(8)).toString('hex')}`;
}

/** The names of the claims that were made here. All of them are made or none. */
async function claim(
  settings: RepositorySettings,
  request: JoinRequest,
  record: RestoreRecord,
  signal: AbortSignal | undefined,
): Promise<readonly string[] | 'taken' | 'denied'> {
  const made: string[] = [];
  try {
    // In one order everywhere, so that of two runs with the same members one gets them all.
    for (const member of request.own.toSorted()) {
      if (request.number !== undefined && record.claimed.includes(member)) continue;
      made.push(await claimMember(settings, request, record, member, signal));
    }
    return made;
  } catch (error) {
    await release(settings, made, undefined);
    if (hasCode(error, 'store.exists')) return 'taken';
    if (isUnwritable(error)) return 'denied';
    throw error;
  }
}

async function claimMember(
  settings: RepositorySettings,
  { cluster, by }: JoinRequest,
  { number }: RestoreRecord,
  member: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { store, signer, clock, randomBytes, tool } = settings;
  const name = restoreClaimName(cluster, number, member);
  const nonce = Buffer.from(randomBytes(16)).toString('hex');
  const claimed = {
    formatVersion: FORMAT_VERSION,
    cluster,
    number,
    member,
    nonce,
    claimedAt: clock(),
    by,
    tool,
  };
  await store.putIfAbsent(name, encodeDocument(restoreClaimDocument, claimed, signer), { signal });
  return name;
}

async function release(
  { store }: RepositorySettings,
  claims: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const name of claims) {
    try {
      await store.delete(name, { signal });
    } catch (error) {
      // A claim that stays only means that the next run begins another restore, and says so.
      if (!(error instanceof GuardianError)) throw error;
    }
  }
}
