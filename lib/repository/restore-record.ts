import { z } from 'zod';
import type { GuardianError } from '../guardian-error.ts';
import { FORMAT_VERSION } from './document.ts';
import { decimal64, instant, words } from './wire.ts';

const member = z.object({ name: z.string(), peerUrls: z.array(z.string()) });

/** Nobody disregards more. */
const MOST_ACCEPTED = 64;

/**
 * What all members of one restored cluster must be made from and with. Written once, by the node that begins; the
 * others find it. Never deleted: members of one restore must not join another, and no revision is given out twice.
 */
export const restoreDocument = {
  payloadType: 'application/vnd.etcdguardian.restore+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    number: z.int(),
    /** Id of the backup that it restores, and where that stands. */
    backup: z.string(),
    timeline: z.string(),
    /** What is restored is that backup and what was captured behind it, up to here; absent: the backup alone. */
    revision: decimal64.optional(),
    /** Revisions at which a hash that members had kept may differ from what is restored, because a person said so. */
    acceptedMismatches: z.array(decimal64).max(MOST_ACCEPTED).optional(),
    members: z.array(member),
    /** etcd's `--initial-cluster-token`. */
    token: z.string(),
    /** The first revision; absent: revisions go on as backed up. */
    bumpTo: decimal64.optional(),
    begunAt: instant,
    by: words,
    tool: words,
  }),
};

/** Says that the data dir of a member is made, or was: no other run may make one for this restore. */
export const restoreClaimDocument = {
  payloadType: 'application/vnd.etcdguardian.restore-claim+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    number: z.int(),
    member: z.string(),
    /** Random, so that a run knows its own claim when the reply to it was lost. */
    nonce: z.string(),
    claimedAt: instant,
    by: words,
    tool: words,
  }),
};

export interface RestoredMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** A restore that was begun, as its record tells, and which of its members were made. */
export interface RestoreRecord {
  readonly cluster: string;
  readonly number: number;
  readonly backup: string;
  readonly timeline: string;
  /** Undefined: the backup's own. */
  readonly revision: bigint | undefined;
  /** Revisions at which kept hashes may differ; see `WritePointOptions`. */
  readonly acceptedMismatches?: readonly bigint[] | undefined;
  readonly members: readonly RestoredMember[];
  readonly token: string;
  readonly bumpTo: bigint | undefined;
  readonly begunAt: Date;
  readonly by: string;
  /** What etcd derives from members and token. */
  readonly etcdClusterId: bigint;
  /** Names of the members that have a claim. */
  readonly claimed: readonly string[];
}

/** The restores of a cluster, as the store shows them. */
export interface KnownRestores {
  /** Oldest first. */
  readonly records: readonly RestoreRecord[];
  /** Records that can't be read or trusted. */
  readonly problems: readonly GuardianError[];
  /** The highest number that is taken, by whatever; 0: none. */
  readonly last: number;
}

/** What a run that is about to make data dirs asks for. */
export interface JoinRequest {
  readonly cluster: string;
  readonly backup: { readonly timeline: string; readonly id: string };
  /** Given for a restore point behind the backup. */
  readonly revision?: bigint | undefined;
  /** Revisions at which kept hashes may differ. A restore that was begun without them isn't joined. */
  readonly acceptedMismatches?: readonly bigint[] | undefined;
  /** All members of the cluster to be. */
  readonly members: readonly RestoredMember[];
  /** Names of those whose dirs this run makes. */
  readonly own: readonly string[];
  /** Left out: a random one. */
  readonly token?: string | undefined;
  /** What was asked for; a restore that was begun otherwise isn't joined, except with `auto`. */
  readonly bump: 'auto' | 'none' | bigint;
  /**
   * The first revision of a restore that begins, from the highest one that the cluster is known to have served or was
   * given by a restore. May throw.
   */
  readonly firstRevision: (highWater: bigint) => bigint | undefined;
  /** Go on with this very restore, also when `own` were made for it before. */
  readonly number?: number | undefined;
  /** Who restores, for the record. */
  readonly by: string;
}

/** The restore that a run takes part in. */
export interface JoinedRestore {
  readonly record: RestoreRecord;
  /** True when this run began it. */
  readonly begun: boolean;
  /** False when the store refused the claims: then a second restore can't see that this run took part. */
  readonly claimed: boolean;
  /** The newest restore to the same members, where this run takes part in another one, and why. */
  readonly apartFrom: { readonly record: RestoreRecord; readonly why: string } | undefined;
  /** Records that can't be read or trusted; they don't count. */
  readonly warnings: readonly GuardianError[];
  /** Takes the claims back, as far as the store allows: for a run that failed and left no dir behind. */
  release(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}
