import { GuardianError } from '../../guardian-error.ts';
import type { Alarm, EndpointStatus, Member, MemberStatus } from './etcd-client.ts';

/** What is known of a cluster when a member has to be chosen. */
export interface ClusterView {
  readonly statuses: readonly EndpointStatus[];
  /** For the names; may be empty. */
  readonly members?: readonly Member[] | undefined;
  /** Beside those in the statuses. */
  readonly alarms?: readonly Alarm[] | undefined;
}

export interface PickOptions {
  /** Ids of members whose data is known to be wrong: neither read nor asked. */
  readonly failed?: ReadonlySet<bigint> | undefined;
  /** Ids of members that shall not be read; they may still be asked. */
  readonly notSource?: ReadonlySet<bigint> | undefined;
  /** Take a learner where no voting member is left. Default false. */
  readonly allowLearner?: boolean | undefined;
}

export interface PickedMember {
  readonly endpoint: string;
  readonly status: MemberStatus;
  /** Empty when the view doesn't tell. */
  readonly name: string;
  readonly role: 'follower' | 'leader' | 'learner' | 'leaderless';
  /** Why this one, for people. */
  readonly reason: string;
}

export interface MemberPick {
  /** Who should stream the snapshot. */
  readonly source: PickedMember;
  /**
   * The other voting members that may be asked for a hash to compare with, the best first: followers, those that lag
   * behind the others, then the leader, whose writes are everyone's. Empty: the source is the only one to ask.
   */
  readonly provers: readonly PickedMember[];
  /** What a person should know about the choice, in sentences. */
  readonly warnings: readonly string[];
}

/** Entries of the raft log. Statuses are taken at slightly different times, so some distance is no lag. */
const LAG_LIMIT = 5_000n;

/**
 * Chooses the member to take a snapshot from: never one that an alarm calls corrupt, never one that failed before; one with
 * a leader before one without, one that is up to date before a laggard, a follower before the leader, then the most
 * applied. Several endpoints of one member count as one. Rejects with `etcd.no-member` (each endpoint's reason in the
 * message) and `etcd.mixed-clusters`.
 */
export function pickMember(view: ClusterView, options: PickOptions = {}): MemberPick {
  const candidates = candidatesOf(view);
  const judged = candidates.map((candidate) => ({ candidate, objection: objectionTo(candidate, options) }));
  const sound = judged.flatMap(({ candidate, objection }) => (objection === undefined ? [candidate] : []));
  const voters = sound.filter(({ status }) => !status.isLearner);
  const readable = sound.filter(({ status }) => options.notSource?.has(status.header.memberId) !== true);
  const [source] = [...readable.filter((each) => voters.includes(each)).toSorted(worseOff), ...readable];
  if (source === undefined) throw noMember(view, judged);
  const provers = voters.filter((candidate) => candidate !== source).toSorted(worseToAsk);
  return {
    source: picked(source, reasonFor(source, readable)),
    provers: provers.map((prover) => picked(prover, `another member, ${prover.role}`)),
    warnings: warningsAbout(source, candidates),
  };
}

interface Candidate extends Omit<PickedMember, 'reason'> {
  readonly alarms: readonly Alarm['kind'][];
  readonly lags: boolean;
}

function candidatesOf({ statuses, members = [], alarms = [] }: ClusterView): Candidate[] {
  const answered = statuses.flatMap(({ status }) => (status === undefined ? [] : [status]));
  const [first] = answered;
  const stranger = answered.find(({ header }) => header.clusterId !== first?.header.clusterId);
  if (first !== undefined && stranger !== undefined) {
    const ids = [first, stranger].map(
      ({ endpoint, header }) => `${endpoint} to ${header.clusterId.toString(16)}`,
    );
    throw new GuardianError(
      'etcd.mixed-clusters',
      `the endpoints belong to different clusters: ${ids.join(', ')}`,
      {
        hint: 'name the members of one cluster only',
      },
    );
  }
  const known = [...alarms, ...answered.flatMap((status) => status.alarms)];
  const mostApplied = answered.reduce((most, { raftAppliedIndex: it }) => (it > most ? it : most), 0n);
  const byMember = new Map<bigint, Candidate>();
  for (const status of answered) {
    const { memberId } = status.header;
    if (byMember.has(memberId)) continue;
    // Id 0 means that members differ and nobody knows which of them is wrong.
    const own = known.filter((alarm) => alarm.memberId === memberId || alarm.memberId === 0n);
    byMember.set(memberId, {
      endpoint: status.endpoint,
      status,
      name: members.find(({ id }) => id === memberId)?.name ?? '',
      role: roleOf(status),
      alarms: own.map(({ kind }) => kind),
      lags: status.raftAppliedIndex + LAG_LIMIT < mostApplied,
    });
  }
  return [...byMember.values()];
}

function roleOf(status: MemberStatus): PickedMember['role'] {
  if (status.isLearner) return 'learner';
  if (status.leader === undefined) return 'leaderless';
  return status.isLeader ? 'leader' : 'follower';
}

function objectionTo({ status, alarms }: Candidate, options: PickOptions): string | undefined {
  if (options.failed?.has(status.header.memberId) === true) return 'failed before';
  if (alarms.includes('CORRUPT')) return 'has a CORRUPT alarm';
  if (status.isLearner && options.allowLearner !== true) return 'is a learner';
  return undefined;
}

/** Sorts the better one first; equals stay in the order of the endpoints. */
function worseOff(a: Candidate, b: Candidate): number {
  return (
    Number(a.role === 'leaderless') - Number(b.role === 'leaderless') ||
    Number(a.lags) - Number(b.lags) ||
    Number(a.role === 'leader') - Number(b.role === 'leader') ||
    descending(a.status.raftAppliedIndex, b.status.raftAppliedIndex) ||
    descending(a.status.header.revision, b.status.header.revision)
  );
}

/** The same for whoever is asked for a hash. */
function worseToAsk(a: Candidate, b: Candidate): number {
  const isOfNoUse = ({ role }: Candidate): number => Number(role === 'leaderless');
  const isLeader = ({ role }: Candidate): number => Number(role === 'leader');
  return isOfNoUse(a) - isOfNoUse(b) || isLeader(a) - isLeader(b) || worseOff(a, b);
}

function descending(a: bigint, b: bigint): number {
  return a === b ? 0 : a > b ? -1 : 1;
}

function picked({ endpoint, status, name, role }: Candidate, reason: string): PickedMember {
  return { endpoint, status, name, role, reason };
}

function reasonFor({ role, status }: Candidate, sound: readonly Candidate[]): string {
  const applied = `has applied ${status.raftAppliedIndex}`;
  if (sound.length === 1) return `the only member to choose: ${role}, ${applied}`;
  if (role === 'leader') return `leader, since every follower lags or failed: ${applied}`;
  return `${role}, ${applied}`;
}

function warningsAbout(source: Candidate, candidates: readonly Candidate[]): string[] {
  const { endpoint, status, role, lags } = source;
  const warnings: string[] = [];
  if (candidates.some((candidate) => candidate.alarms.includes('NOSPACE'))) {
    warnings.push(
      'a NOSPACE alarm is on: the cluster takes no writes, and the alarm will be part of the snapshot',
    );
  }
  if (role === 'leaderless') {
    warnings.push(`${endpoint} has no leader: what it holds may be older than what others have seen`);
  }
  if (role === 'learner') warnings.push(`${endpoint} is a learner: it may still be catching up`);
  if (lags) warnings.push(`${endpoint} lags behind other members by more than ${LAG_LIMIT} entries`);
  if (/^3\.5\.[0-2]$/.test(status.version)) {
    warnings.push(
      `${endpoint} runs etcd ${status.version}, whose members can come to differ after a crash: upgrade to 3.5.3 or newer, and compare the members' hashes`,
    );
  }
  const corrupt = candidates.filter((candidate) => candidate.alarms.includes('CORRUPT'));
  if (corrupt.length > 0) {
    warnings.push(
      `an alarm calls ${corrupt.map((each) => each.endpoint).join(', ')} CORRUPT: that member must be replaced`,
    );
  }
  return warnings;
}

function noMember(
  { statuses }: ClusterView,
  judged: readonly { readonly candidate: Candidate; readonly objection: string | undefined }[],
): GuardianError {
  const silent = statuses.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const reasons = [
    ...judged.map(({ candidate, objection }) => `${candidate.endpoint} ${objection ?? 'failed before'}`),
    ...silent.map(({ message }) => message),
  ];
  return new GuardianError('etcd.no-member', `no member can give a snapshot: ${reasons.join('; ')}`, {
    hint: silent[0]?.hint ?? 'mend a member, or name the endpoints of others',
    retryable: silent.some(({ retryable }) => retryable),
    cause: silent.length === 0 ? undefined : new AggregateError(silent),
  });
}
