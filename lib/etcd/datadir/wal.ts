import { Buffer } from 'node:buffer';
import { crc32c } from '../crc32c.ts';
import type { ClusterIdentity, MemberIdentity } from './member-identity.ts';
import { memberJson } from './member-json.ts';
import { encodeConfState, encodeMessage, type Field } from './wire.ts';

/** Sequence number 0, first index 0. */
export const WAL_FILE_NAME = `${'0'.repeat(16)}-${'0'.repeat(16)}.wal`;
/** etcd makes a WAL file this large at once, zeros behind its records. */
export const WAL_FILE_SIZE = 64_000_000;

const METADATA = 1n;
const ENTRY = 2n;
const HARD_STATE = 3n;
const CRC = 4n;
const SNAPSHOT = 5n;

const TERM = 1n;
const NORMAL_ENTRY = 0n;
const CONF_CHANGE_ENTRY = 1n;
const ADD_NODE = 0n;

/**
 * The records at the start of a new member's WAL: as if the cluster had, in term 1, taken in each of its members
 * (entries 1 to n, applied) and then made a snapshot. In the form of etcd 3.5, which 3.4 to 3.7 accept; byte for byte
 * what etcdutl 3.5 and 3.6 write.
 *
 * `requests` follow as committed entries, which a member applies when it starts, with or without a leader: each an
 * etcdserverpb.InternalRaftRequest, or undefined for an entry that asks for nothing.
 */
export function encodeWal(
  cluster: ClusterIdentity,
  member: MemberIdentity,
  requests: readonly (Buffer | undefined)[] = [],
): Buffer {
  const voters = cluster.members.map(({ id }) => id);
  const last = BigInt(voters.length);
  const log = new RecordLog();
  log.add(CRC);
  log.add(METADATA, encodeMessage([1, member.id], [2, cluster.clusterId]));
  log.add(SNAPSHOT, encodeMessage([1, 0n], [2, 0n]));
  for (const [index, voter] of cluster.members.entries()) {
    const change = encodeMessage([1, 0n], [2, ADD_NODE], [3, voter.id], [4, Buffer.from(memberJson(voter))]);
    log.add(ENTRY, encodeMessage([1, CONF_CHANGE_ENTRY], [2, TERM], [3, BigInt(index + 1)], [4, change]));
  }
  // The vote of term 1 is the same in all members' dirs: nobody could be elected otherwise.
  const hardState = (commit: bigint): Buffer => encodeMessage([1, TERM], [2, voters[0] ?? 0n], [3, commit]);
  log.add(HARD_STATE, hardState(last));
  log.add(SNAPSHOT, encodeMessage([1, last], [2, TERM], [3, encodeConfState(voters)]));
  for (const [at, request] of requests.entries()) {
    const entry: Field[] = [
      [1, NORMAL_ENTRY],
      [2, TERM],
      [3, last + BigInt(at + 1)],
    ];
    log.add(ENTRY, encodeMessage(...entry, ...(request === undefined ? [] : [[4, request] as const])));
  }
  if (requests.length > 0) log.add(HARD_STATE, hardState(last + BigInt(requests.length)));
  return log.bytes();
}

/** Frames: u64 LE length, the record, zeros up to a multiple of 8. The CRC of each record goes on from the last one. */
class RecordLog {
  private readonly frames: Buffer[] = [];
  private crc = 0;

  add(type: bigint, data?: Buffer): void {
    if (data !== undefined) this.crc = crc32c(data, this.crc);
    const fields: Field[] = [
      [1, type],
      [2, BigInt(this.crc)],
    ];
    const record = encodeMessage(...fields, ...(data === undefined ? [] : [[3, data] as const]));
    const padding = (8 - (record.length % 8)) % 8;
    const length = Buffer.alloc(8);
    length.writeUInt32LE(record.length);
    // The top byte counts the padding, and says with its top bit that there is some.
    if (padding > 0) length[7] = 0x80 | padding;
    this.frames.push(length, record, Buffer.alloc(padding));
  }

  bytes(): Buffer {
    return Buffer.concat(this.frames);
  }
}
