import type { Problem, ProblemList } from '../problem-list.ts';
import { LeaseIds } from './lease-ids.ts';
import { decodeLease, encodeLeaseKey } from './lease.ts';
import { isMemberId, parseObject, readAlarm, readMember } from './membership.ts';
import { decodeRevisionKey } from './revision.ts';
import type { SnapshotAlarm, SnapshotMember } from './snapshot-verdict.ts';

/** What the small buckets of a file say. Filled entry by entry, in the order of the file. */
export class StoreFacts {
  readonly leases = new LeaseIds();
  readonly members: SnapshotMember[] = [];
  readonly alarms: SnapshotAlarm[] = [];
  /** Main revisions; -1 when there is no such mark. */
  scheduledCompaction = -1;
  finishedCompaction = -1;
  consistentIndex: bigint | undefined;
  term: bigint | undefined;
  storageVersion: string | undefined;
  clusterVersion: string | undefined;
  authEnabled = false;
  private readonly problems: ProblemList;

  constructor(problems: ProblemList) {
    this.problems = problems;
  }

  /** Takes an entry of any bucket but `key`; `place` finds it in the file. */
  take(bucket: string, key: Buffer, value: Buffer, place: Pick<Problem, 'page' | 'offset'>): void {
    const fault = READERS.get(bucket)?.(this, key, value);
    if (fault === undefined) return;
    const name = /^[\x20-\x7e]+$/.test(key.toString('latin1')) ? key.toString('latin1') : key.toString('hex');
    this.problems.add({
      code: fault.code,
      message: `bucket ${bucket}, entry ${name}: ${fault.text}`,
      ...place,
      key: `${bucket}/${name}`,
    });
  }
}

interface Fault {
  readonly code: string;
  readonly text: string;
}

/** Takes one entry of its bucket into the facts, or says what is wrong with it. */
type EntryReader = (facts: StoreFacts, key: Buffer, value: Buffer) => Fault | undefined;

const READERS = new Map<string, EntryReader>([
  ['alarm', takeAlarm],
  ['auth', takeAuth],
  ['authRoles', takeNamed],
  ['authUsers', takeNamed],
  ['cluster', takeCluster],
  ['lease', takeLease],
  ['members', takeMember],
  ['members_removed', takeRemovedMember],
  ['meta', takeMeta],
]);

/** Members and alarms listed; a cluster has seven members at most. */
const MAX_LISTED = 1000;

const VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

function takeAlarm(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const alarm = readAlarm(key);
  if (alarm === undefined || value.length > 0) return { code: 'alarm.record', text: 'is not an alarm' };
  if (facts.alarms.length >= MAX_LISTED) return { code: 'alarm.record', text: 'is one of too many' };
  facts.alarms.push(alarm);
  return undefined;
}

function takeAuth(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const name = key.toString('latin1');
  if (name === 'authEnabled') {
    const byte = value[0];
    if (value.length !== 1 || (byte !== 0 && byte !== 1)) {
      return { code: 'auth.record', text: 'is neither on nor off' };
    }
    facts.authEnabled = byte === 1;
  } else if (name === 'authRevision' && value.length !== 8) {
    return { code: 'auth.record', text: `has ${value.length} bytes instead of 8` };
  }
  return undefined;
}

/** Users and roles are messages whose first field repeats the key. */
function takeNamed(_facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const length = value[1] ?? 0;
  const start = length < 128 ? 2 : 3;
  const size = length < 128 ? length : (length & 127) + (value[2] ?? 0) * 128;
  const named = value[0] === 0x0a && value.subarray(start, start + size).equals(key);
  return named ? undefined : { code: 'auth.record', text: 'does not carry its own name' };
}

function takeCluster(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const name = key.toString('latin1');
  const text = value.toString('utf8');
  if (name === 'clusterVersion') {
    facts.clusterVersion = text;
    if (!VERSION.test(text)) return { code: 'cluster.record', text: 'is not a version' };
  } else if (name === 'downgrade' && parseObject(text) === undefined) {
    return { code: 'cluster.record', text: 'is not a JSON object' };
  }
  return undefined;
}

function takeLease(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const lease = decodeLease(value);
  if (lease === undefined || !encodeLeaseKey(lease.id).equals(key)) {
    return { code: 'lease.record', text: 'is not a lease of that id' };
  }
  facts.leases.add(key);
  if (lease.ttlSeconds < 0n || lease.remainingSeconds < 0n) {
    return { code: 'lease.record', text: `has a TTL of ${lease.ttlSeconds} s` };
  }
  return undefined;
}

function takeMember(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const member = readMember(key, value);
  if (member === undefined) return { code: 'members.record', text: 'is not a member of that id' };
  if (facts.members.length >= MAX_LISTED) return { code: 'members.record', text: 'is one of too many' };
  facts.members.push(member);
  return undefined;
}

function takeRemovedMember(_facts: StoreFacts, key: Buffer): Fault | undefined {
  return isMemberId(key.toString('latin1'))
    ? undefined
    : { code: 'members.record', text: 'is not a member id' };
}

function takeMeta(facts: StoreFacts, key: Buffer, value: Buffer): Fault | undefined {
  const name = key.toString('latin1');
  switch (name) {
    case 'consistent_index':
    case 'term': {
      if (value.length !== 8) return { code: 'meta.record', text: `has ${value.length} bytes instead of 8` };
      const number = value.readBigUInt64BE(0);
      if (name === 'term') facts.term = number;
      else facts.consistentIndex = number;
      return undefined;
    }
    case 'scheduledCompactRev':
    case 'finishedCompactRev': {
      const revision = decodeRevisionKey(value);
      if (revision === undefined || revision.tombstone)
        return { code: 'meta.record', text: 'is not a revision' };
      if (name === 'finishedCompactRev') facts.finishedCompaction = Number(revision.main);
      else facts.scheduledCompaction = Number(revision.main);
      return undefined;
    }
    case 'confState':
      return parseObject(value.toString('utf8')) === undefined
        ? { code: 'meta.record', text: 'is not a JSON object' }
        : undefined;
    case 'storageVersion':
      facts.storageVersion = value.toString('utf8');
      return VERSION.test(facts.storageVersion)
        ? undefined
        : { code: 'meta.record', text: 'is not a version' };
    default:
      return undefined;
  }
}
