import type { Buffer } from 'node:buffer';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../crc32c.ts';
import { diskError } from '../durable-file.ts';
import { VarintReader } from '../mvcc/varint.ts';

/** What a member's log holds behind an index. */
export interface WalTail {
  /** Entries behind it, the replaced ones left out. */
  readonly entries: number;
  /** Of them, those that the log itself knows to be committed; a leader may have answered for more. */
  readonly committed: number;
  /** Of all, those that can change keys: each makes one revision at most. */
  readonly writes: number;
  /** The member's and its cluster's ids; 0n where the log can't tell. */
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** Index of the last entry in the log; 0n where it has none. */
  readonly lastIndex: bigint;
  /** The last entry was being written when the member died, as after any crash. */
  readonly torn: boolean;
  /** Where the log can't be read though more of it follows; what stands behind is not counted. */
  readonly broken: string | undefined;
}

/** What a log asks of the store behind an index. */
export interface LoggedRequests {
  readonly tail: WalTail;
  /**
   * An etcdserverpb.InternalRaftRequest for each entry of the tail, in order; undefined where an entry asks nothing of
   * the store: changes of members, what members tell of themselves, the first entry of a term.
   */
  readonly requests: readonly (Buffer | undefined)[];
}

const METADATA = 1;
const ENTRY = 2;
const STATE = 3;
const CRC = 4;
const SNAPSHOT = 5;

/** A WAL file is 64 MB, and longer by one record at most. */
const MAX_FILE = 1 << 30;

/**
 * Reads what the log in `walDir` has behind `index`, the consistent index of the database beside it. Only reads; the log
 * may be of etcd 3.4 to 3.7. A folder without a log has nothing. Rejects with the disk's errors.
 */
export async function readWalTail(walDir: string, index: bigint): Promise<WalTail> {
  return (await readLog(walDir, new Tail(index, false))).result();
}

/** As `readWalTail`, and what the entries ask. A log that isn't there, lacks an entry, or ends before `index`, is broken. */
export async function readRequests(walDir: string, index: bigint): Promise<LoggedRequests> {
  const log = await readLog(walDir, new Tail(index, true));
  const { entries, lastIndex } = log.result();
  if (log.startsAt === undefined) log.broken ??= 'no file of it is there';
  else if (log.reached > index && log.reached > lastIndex)
    log.broken ??= `a leader had sent a database at entry ${log.reached}, which is not the one in place`;
  else if (log.startsAt <= index && log.reached < index)
    log.broken ??= `it ends at entry ${log.reached}, and the database has ${index}`;
  if (entries > 0 && BigInt(entries) !== lastIndex - index)
    log.broken ??= `of the entries ${index + 1n} to ${lastIndex} it has only ${entries}`;
  return { tail: log.result(), requests: log.requests() };
}

async function readLog(walDir: string, tail: Tail): Promise<Tail> {
  const index = tail.after;
  try {
    const files = (await readdir(walDir)).flatMap(walFile).sort((a, b) => (a.name < b.name ? -1 : 1));
    const first = Math.max(
      0,
      files.findLastIndex((file) => file.firstIndex <= index + 1n),
    );
    tail.startsAt = files[first]?.firstIndex;
    for (const [at, { name }] of files.entries()) {
      if (at < first || tail.broken !== undefined) continue;
      const path = join(walDir, name);
      const { size } = await stat(path);
      if (size > MAX_FILE) tail.broken = `${name} has ${size} bytes, more than any etcd writes`;
      else tail.readFile(await readFile(path), name, at === files.length - 1);
    }
  } catch (error) {
    throw diskError(error, `reading the log in ${walDir}`);
  }
  return tail;
}

function walFile(name: string): { readonly name: string; readonly firstIndex: bigint }[] {
  const [, index] = /^[0-9a-f]{16}-([0-9a-f]{16})\.wal$/.exec(name) ?? [];
  return index === undefined ? [] : [{ name, firstIndex: BigInt(`0x${index}`) }];
}

class Tail {
  broken: string | undefined;
  /** The first index that the first file read may have; undefined where there is no file. */
  startsAt: bigint | undefined;
  /** The last index that an entry, or a raft snapshot, was seen of. */
  reached = 0n;
  private torn = false;
  private commit = 0n;
  private memberId = 0n;
  private clusterId = 0n;
  readonly after: bigint;
  private readonly keeping: boolean;
  /** By index, in its order. */
  private readonly entries = new Map<bigint, Entry>();
  private lastIndex = 0n;
  private crc: number | undefined;

  constructor(after: bigint, keeping: boolean) {
    this.after = after;
    this.keeping = keeping;
  }

  /** Frames: u64 LE length, whose top byte counts the padding behind the record. */
  readFile(bytes: Buffer, name: string, isLast: boolean): void {
    for (let at = 0; at + 8 <= bytes.length;) {
      const word = bytes.readBigUInt64LE(at);
      // Room that was made ahead.
      if (word === 0n) return;
      const padding = (word & (1n << 63n)) === 0n ? 0 : Number((word >> 56n) & 7n);
      const size = Number(word & 0xff_ffff_ffff_ffffn);
      const end = at + 8 + size;
      const fault =
        end + padding > bytes.length ? 'a record is cut off' : this.take(bytes.subarray(at + 8, end));
      if (fault !== undefined) {
        // As after any crash: etcd cuts it off, too.
        if (isLast && isTorn(bytes, at + 8, size) && isZeroFrom(bytes, end + padding)) this.torn = true;
        else this.broken = `${name}, byte ${at}: ${fault}`;
        return;
      }
      at = end + padding;
    }
  }

  requests(): (Buffer | undefined)[] {
    return [...this.entries.values()].map(({ request }) => request);
  }

  result(): WalTail {
    const behind = [...this.entries];
    return {
      entries: behind.length,
      committed: behind.filter(([index]) => index <= this.commit).length,
      writes: behind.filter(([, { writes }]) => writes).length,
      memberId: this.memberId,
      clusterId: this.clusterId,
      lastIndex: this.lastIndex,
      torn: this.torn,
      broken: this.broken,
    };
  }

  /** What is wrong with the record, or undefined. */
  private take(record: Buffer): string | undefined {
    const fields = readFields(record);
    if (fields === undefined) return 'not a record';
    const type = Number(fields.numbers.get(1) ?? 0n);
    const crc = Number(fields.numbers.get(2) ?? 0n);
    if (type === CRC) {
      if (this.crc !== undefined && this.crc !== crc) return 'its checksum goes on from another record';
      this.crc = crc;
      return undefined;
    }
    const data = fields.bytes.get(3);
    this.crc = data === undefined ? (this.crc ?? 0) : crc32c(data, this.crc ?? 0);
    if (this.crc !== crc) return 'its checksum is wrong';
    if (data === undefined) return undefined;
    if (type === METADATA) {
      const ids = readFields(data)?.numbers;
      this.memberId = ids?.get(1) ?? 0n;
      this.clusterId = ids?.get(2) ?? 0n;
    }
    if (type === STATE) this.commit = readFields(data)?.numbers.get(3) ?? this.commit;
    if (type === SNAPSHOT) this.reached = readFields(data)?.numbers.get(1) ?? this.reached;
    return type === ENTRY ? this.entry(data) : undefined;
  }

  private entry(entry: Buffer): string | undefined {
    const fields = readFields(entry);
    const index = fields?.numbers.get(3);
    if (fields === undefined || index === undefined) return 'not an entry';
    // A new leader's entries replace what an old one left behind.
    for (let gone = index; gone <= this.lastIndex; gone++) this.entries.delete(gone);
    this.lastIndex = index;
    this.reached = index;
    if (index <= this.after) return undefined;
    const isNormal = (fields.numbers.get(1) ?? 0n) === 0n;
    const data = isNormal ? fields.bytes.get(4) : undefined;
    const request = data === undefined ? undefined : readFields(data);
    this.entries.set(index, {
      writes: request !== undefined && WRITES.some((field) => request.bytes.has(field)),
      request:
        this.keeping && request !== undefined && !OF_MEMBERS.some((field) => request.bytes.has(field))
          ? data
          : undefined,
    });
    return undefined;
  }
}

interface Entry {
  readonly writes: boolean;
  readonly request: Buffer | undefined;
}

/** etcdserverpb.InternalRaftRequest: put, delete_range, txn, and lease_revoke, which deletes the lease's keys. */
const WRITES = [4, 5, 6, 9];
/** v2, where members tell their addresses up to 3.5 (a bare v2 request has its method in this field), and cluster_member_attr_set. */
const OF_MEMBERS = [2, 1301];

interface Fields {
  readonly numbers: ReadonlyMap<number, bigint>;
  readonly bytes: ReadonlyMap<number, Buffer>;
}

/** The varints and the length-delimited fields of a message, the last of each number; undefined when it isn't one. */
function readFields(message: Buffer): Fields | undefined {
  const numbers = new Map<number, bigint>();
  const bytes = new Map<number, Buffer>();
  const reader = new VarintReader();
  while (reader.at < message.length) {
    const start = reader.at;
    if (!reader.next(message, message.length) || reader.high !== 0) return undefined;
    const [field, wireType] = [reader.low >>> 3, reader.low & 7];
    if (wireType === 0) {
      if (!reader.next(message, message.length)) return undefined;
      numbers.set(field, reader.uint64());
    } else if (wireType === 2) {
      if (!reader.next(message, message.length)) return undefined;
      const end = reader.at + Number(reader.uint64());
      if (end > message.length) return undefined;
      bytes.set(field, message.subarray(reader.at, end));
      reader.at = end;
    } else {
      reader.at = start;
      if (!reader.skipField(message, message.length)) return undefined;
    }
  }
  return { numbers, bytes };
}

const SECTOR = 512;

/** A sector of it was never written, as etcd has it, or the file ends in it. Else it was damaged afterwards. */
function isTorn(bytes: Buffer, start: number, size: number): boolean {
  const end = start + size;
  if (end > bytes.length) return size <= MAX_FILE;
  for (let at = start; at < end;) {
    const next = Math.min(end, at - (at % SECTOR) + SECTOR);
    if (bytes.subarray(at, next).every((byte) => byte === 0)) return true;
    at = next;
  }
  return false;
}

function isZeroFrom(bytes: Buffer, start: number): boolean {
  return bytes.subarray(start).every((byte) => byte === 0);
}
