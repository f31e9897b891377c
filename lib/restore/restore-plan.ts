import { createHash } from 'node:crypto';
import path from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import type { Grafts } from './grafts.ts';
import { parseInitialCluster, parsePeerUrls, type PlannedMember } from './initial-cluster.ts';

/** What a person asked for. Everything but the data dir may be left out. */
export interface RestoreRequest {
  readonly dataDir: string;
  readonly walDir?: string | undefined;
  readonly name?: string | undefined;
  readonly initialCluster?: string | undefined;
  readonly initialAdvertisePeerUrls?: string | undefined;
  readonly token?: string | undefined;
  /** Make the dirs of all members at once, each in `<dataDir>/<name>`. */
  readonly allMembers: boolean;
  /** `auto`; `none`; or the revision that the restored cluster shall start at. */
  readonly bump: 'auto' | 'none' | bigint;
}

/** What is known of the data that will be restored. */
export interface RestorePoint {
  /** Names the data, e.g. a backup's id or a file's sha256: the same for all members of one restore. */
  readonly identity: string;
  readonly currentRevision: bigint;
  /** The highest revision that the cluster is known to have served; at least the restore point's. */
  readonly highWater: bigint;
}

export interface PlannedDir {
  readonly member: PlannedMember;
  readonly dataDir: string;
  readonly walDir: string | undefined;
}

/** What was settled for all members of a restore before this run, or together with others. */
export interface SettledRestore {
  readonly token: string;
  readonly bumpTo: bigint | undefined;
}

/** Everything that decides what the restored members will be; made before anything is written. */
export interface RestorePlan {
  readonly members: readonly PlannedMember[];
  /** The dirs made here; of the other members another run makes them, from the same plan. */
  readonly dirs: readonly PlannedDir[];
  readonly token: string;
  /** The first revision of the restored cluster, everything before it compacted; undefined: revisions go on as backed up. */
  readonly bumpTo: bigint | undefined;
  /** Put on top of the data, between its last revision and `bumpTo`, which must be given then. */
  readonly grafts?: Grafts | undefined;
}

/**
 * Names, token and revision of a restored cluster. No clock, no chance: runs on different nodes from the same restore
 * point with the same initial cluster come to the same plan, so that their members find each other. So do two restores
 * of one point, which must not meet: where there is a record of restores, what it `settled` is taken.
 */
export function planRestore(
  request: RestoreRequest,
  point: RestorePoint,
  settled?: SettledRestore,
): RestorePlan {
  const { members, dirs } = planMembers(request);
  const bumpTo = settled === undefined ? plannedBump(request.bump, point) : settled.bumpTo;
  const token = settled?.token ?? request.token ?? derivedToken(point, members, bumpTo);
  return { members, dirs, token, bumpTo };
}

/** The part of a plan that follows from what was asked for alone. */
export function planMembers(request: RestoreRequest): Pick<RestorePlan, 'members' | 'dirs'> {
  const members = plannedMembers(request);
  return { members, dirs: plannedDirs(request, members) };
}

const DEFAULT_NAME = 'default';
const DEFAULT_PEER_URL = 'http://localhost:2380';

function plannedMembers(request: RestoreRequest): PlannedMember[] {
  const name = request.name ?? DEFAULT_NAME;
  if (request.initialCluster === undefined) {
    const urls = request.initialAdvertisePeerUrls ?? DEFAULT_PEER_URL;
    return [{ name, peerUrls: parsePeerUrls(urls, name) }];
  }
  const members = parseInitialCluster(request.initialCluster);
  if (request.allMembers) return members;
  const own = members.length === 1 && request.name === undefined ? members[0] : byName(members, name);
  if (own === undefined) {
    throw new GuardianError(
      'restore.name',
      `the initial cluster has no member "${name}"; it has ${members.map((member) => member.name).join(', ')}`,
      { hint: 'say which of them this node is with --name, or make all their dirs with --all-members' },
    );
  }
  const advertised = request.initialAdvertisePeerUrls;
  if (advertised !== undefined && !sameUrls(parsePeerUrls(advertised, own.name), own.peerUrls)) {
    throw new GuardianError(
      'restore.peer-urls',
      `--initial-advertise-peer-urls ${advertised} differs from what the initial cluster says of ${own.name}: ${own.peerUrls.join(',')}`,
      { hint: 'etcd would refuse to start with them: make both the same' },
    );
  }
  return members;
}

function plannedDirs(request: RestoreRequest, members: readonly PlannedMember[]): PlannedDir[] {
  const dataDir = path.resolve(request.dataDir);
  const walDir = request.walDir === undefined ? undefined : path.resolve(request.walDir);
  if (walDir !== undefined && `${dataDir}${path.sep}`.startsWith(`${walDir}${path.sep}`)) {
    throw new GuardianError('restore.wal-dir', `--wal-dir ${walDir} is or holds the data dir ${dataDir}`, {
      hint: 'give the log a dir of its own, or leave --wal-dir out: it then lies in <data-dir>/member/wal',
    });
  }
  if (request.allMembers) {
    return members.map((member) => ({
      member,
      dataDir: path.join(dataDir, safeName(member.name)),
      walDir: walDir === undefined ? undefined : path.join(walDir, safeName(member.name)),
    }));
  }
  const only = members.length === 1 ? members[0] : byName(members, request.name ?? DEFAULT_NAME);
  return only === undefined ? [] : [{ member: only, dataDir, walDir }];
}

/**
 * How far a restored cluster's revisions start above everything the lost one can have served, when only backups tell
 * how far it was: what was written after the last backup is unknown. A cluster that writes 1,000 times a second for
 * eleven days stays below it, and 2^63 leaves room for nine thousand million such restores.
 */
export const BUMP_MARGIN = 1_000_000_000n;

/** The first revision of the restored cluster. Throws `restore.bump` where there is none that is safe. */
export function plannedBump(
  bump: RestoreRequest['bump'],
  point: Omit<RestorePoint, 'identity'>,
): bigint | undefined {
  if (bump === 'none') return undefined;
  const highest = point.highWater > point.currentRevision ? point.highWater : point.currentRevision;
  const first = bump === 'auto' ? highest + BUMP_MARGIN : bump;
  if (first > highest && first < HIGHEST_BUMP) return first;
  throw new GuardianError(
    'restore.bump',
    `the restored cluster can't start at revision ${first}: ${
      first > highest
        ? 'too few revisions would be left above it'
        : `revision ${highest} was served, or given to an earlier restore, already`
    }`,
    {
      hint: 'leave --bump-to out to have a safe revision chosen, or give a higher one; --no-bump goes on from the revision that was backed up',
    },
  );
}

/** Half of what 64 bits can count. */
const HIGHEST_BUMP = 2n ** 62n;

/**
 * The token keeps members of the old cluster from joining the new one: it differs from every token before, but is the
 * same for all members of this restore.
 */
function derivedToken(
  point: RestorePoint,
  members: readonly PlannedMember[],
  bumpTo: bigint | undefined,
): string {
  const hash = createHash('sha256');
  const each = members.map(({ name, peerUrls }) => JSON.stringify([name, ...peerUrls.toSorted()]));
  hash.update(JSON.stringify([point.identity, each.sort(), bumpTo?.toString() ?? null]));
  return `etcdguardian-${hash.digest('hex').slice(0, 16)}`;
}

function byName(members: readonly PlannedMember[], name: string): PlannedMember | undefined {
  return members.find((member) => member.name === name);
}

function sameUrls(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
}

function safeName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return name;
  throw new GuardianError('restore.name', `the member name "${name}" can't be the name of a folder`, {
    hint: 'make the dirs one by one with --name and --data-dir instead of --all-members',
  });
}
