import { Buffer } from 'node:buffer';
import { FastRandom } from './fast-random.ts';
import { DELETE, type KubernetesHistory, SAME_REVISION } from './kubernetes-history.ts';
import { KubernetesObjects, namespaceValue } from './kubernetes-objects.ts';

/** The one record that is handed out again and again: `bytes[0, end)` is its mvccpb.KeyValue. */
export interface StoredRecord {
  readonly main: number;
  readonly sub: number;
  readonly tombstone: boolean;
  readonly bytes: Buffer;
  readonly end: number;
}

const NO_CHANGE = 0xffffffff;

/** The records of bucket `key` that a history comes to, after its compaction. */
export class KubernetesRecords {
  /** Known once `all` has come to its end. */
  lastMain = 0;
  liveKeys = 0;
  /** Main revision of the compaction; 0 for none. */
  readonly compactMain: number;

  private readonly history: KubernetesHistory;
  private readonly objects: KubernetesObjects;
  private readonly uid: string;
  /** The first changes, which a compaction thins out. */
  private readonly compactedChanges: number;
  private lastLease: { readonly number: number; readonly field: Buffer } = {
    number: 0,
    field: Buffer.alloc(0),
  };

  constructor(history: KubernetesHistory, kubeSystemUid: string, compactedChanges: number) {
    this.history = history;
    this.objects = new KubernetesObjects(history);
    this.uid = kubeSystemUid;
    this.compactedChanges = compactedChanges;
    this.compactMain = compactedChanges === 0 ? 0 : this.mainOf(compactedChanges - 1);
  }

  /** In order of revisions, the same object every time. */
  *all(): Generator<StoredRecord, void> {
    const { history } = this;
    const record = { main: 2, sub: 0, tombstone: false, bytes: Buffer.alloc(2 ** 21), end: 0 };
    record.end = this.writeNamespace(record.bytes);
    yield record;
    this.liveKeys = 1;

    const latest = this.latestAtCompaction();
    const created = new Uint32Array(history.objectCount);
    const versions = new Uint32Array(history.objectCount);
    for (let change = 0; change < history.changes; change++) {
      const object = history.objects[change] ?? 0;
      const action = history.actions[change] ?? 0;
      if ((action & SAME_REVISION) === 0) {
        record.main++;
        record.sub = 0;
      } else record.sub++;
      record.tombstone = (action & DELETE) !== 0;
      if (record.tombstone) {
        created[object] = 0;
        versions[object] = 0;
        this.liveKeys--;
      } else {
        versions[object] = (versions[object] ?? 0) + 1;
        if (versions[object] === 1) {
          created[object] = record.main;
          this.liveKeys++;
        }
      }
      if (change < this.compactedChanges && (record.tombstone || latest[object] !== change)) continue;
      record.end = record.tombstone
        ? this.writeTombstone(record.bytes, object)
        : this.writePut(record.bytes, object, created[object] ?? 0, record.main, versions[object] ?? 0);
      yield record;
    }
    this.lastMain = record.main;
  }

  /** Any 63 bits, as etcd's lease ids. */
  leaseId(number: number): bigint {
    const random = new FastRandom(`lease ${this.history.seed} ${number}`);
    return (BigInt(random.next() >>> 1) << 32n) | BigInt(random.next());
  }

  /** For each object, its last change before the compaction. */
  private latestAtCompaction(): Uint32Array {
    const latest = new Uint32Array(this.compactedChanges === 0 ? 0 : this.history.objectCount).fill(
      NO_CHANGE,
    );
    for (let change = 0; change < this.compactedChanges; change++)
      latest[this.history.objects[change] ?? 0] = change;
    return latest;
  }

  private mainOf(change: number): number {
    let main = 2;
    for (let at = 0; at <= change; at++) if (((this.history.actions[at] ?? 0) & SAME_REVISION) === 0) main++;
    return main;
  }

  private writePut(bytes: Buffer, object: number, created: number, main: number, version: number): number {
    let at = this.writeTombstone(bytes, object);
    at = writeNumber(bytes, at, 0x10, created);
    at = writeNumber(bytes, at, 0x18, main);
    at = writeNumber(bytes, at, 0x20, version);
    // The value's length is known behind it: room for the longest is left, and the value then moved up.
    const valueStart = at + 5;
    const valueEnd = this.objects.writeValue(bytes, valueStart, object, version);
    at = writeNumber(bytes, at, 0x2a, valueEnd - valueStart);
    bytes.copyWithin(at, valueStart, valueEnd);
    at += valueEnd - valueStart;
    const lease = this.history.leases[object] ?? 0;
    return lease === 0 ? at : this.writeLease(bytes, at, lease);
  }

  /** The key alone: what a tombstone is, and what a put begins with. */
  private writeTombstone(bytes: Buffer, object: number): number {
    const end = this.objects.writeKey(bytes, 2, object);
    bytes[0] = 0x0a;
    bytes[1] = end - 2;
    return end;
  }

  private writeNamespace(bytes: Buffer): number {
    const key = '/registry/namespaces/kube-system';
    const value = namespaceValue('kube-system', this.uid);
    bytes[0] = 0x0a;
    bytes[1] = key.length;
    let at = 2 + bytes.write(key, 2, 'latin1');
    at = writeNumber(bytes, at, 0x10, 2);
    at = writeNumber(bytes, at, 0x18, 2);
    at = writeNumber(bytes, at, 0x20, 1);
    at = writeNumber(bytes, at, 0x2a, value.length);
    return at + value.copy(bytes, at);
  }

  private writeLease(bytes: Buffer, at: number, number: number): number {
    if (this.lastLease.number !== number) {
      const field = Buffer.alloc(11);
      let rest = this.leaseId(number);
      let end = 1;
      field[0] = 0x30;
      for (; rest > 0x7fn; rest >>= 7n) field[end++] = Number(rest & 0x7fn) | 0x80;
      field[end++] = Number(rest);
      this.lastLease = { number, field: field.subarray(0, end) };
    }
    return at + this.lastLease.field.copy(bytes, at);
  }
}

/** A tag and a varint below 2^53. */
function writeNumber(bytes: Buffer, at: number, tag: number, value: number): number {
  bytes[at] = tag;
  let end = at + 1;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes[end++] = (rest & 0x7f) | 0x80;
  bytes[end++] = rest;
  return end;
}
