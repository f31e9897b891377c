/**
 * Reads records of bucket `key` (mvccpb.KeyValue) and takes only the form in which every etcd from 3.0 to 3.7 writes
 * them: fields ascending and once, no empty ones, shortest varints, nothing unknown. Stricter than protobuf, because
 * here a byte that differs means damage; and one straight line, because it runs for every record of a stream. One
 * object serves millions of records; offsets are into the view.
 */
export class CanonicalRecord {
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** Below 2^53; 0 when absent. */
  createRevision = 0;
  modRevision = 0;
  version = 0;
  /** The lease id's halves, unsigned; both 0 when there is none. */
  leaseHigh = 0;
  leaseLow = 0;

  private at = 0;
  private end = 0;

  /** False when the bytes [start, end) are not a canonical record. */
  read(view: DataView, start: number, end: number): boolean {
    this.at = start;
    this.end = end;
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.createRevision = this.modRevision = this.version = this.leaseHigh = this.leaseLow = 0;
    if (this.takes(view, 0x0a)) {
      const size = this.number(view);
      this.keyStart = this.at;
      this.keyEnd = this.at += size;
    }
    if (this.takes(view, 0x10)) this.createRevision = this.number(view);
    if (this.takes(view, 0x18)) this.modRevision = this.number(view);
    if (this.takes(view, 0x20)) this.version = this.number(view);
    if (this.takes(view, 0x2a)) {
      const size = this.number(view);
      this.valueStart = this.at;
      this.valueEnd = this.at += size;
    }
    if (this.takes(view, 0x30)) this.lease(view);
    return this.at === end;
  }

  private takes(view: DataView, tag: number): boolean {
    if (this.at >= this.end || view.getUint8(this.at) !== tag) return false;
    this.at++;
    return true;
  }

  /** A varint from 1 to 2^53; anything else moves `at` behind all bytes, so that `read` fails. */
  private number(view: DataView): number {
    let value = 0;
    let factor = 1;
    while (this.at < this.end && factor <= 2 ** 49) {
      const byte = view.getUint8(this.at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (byte === 0 || value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      factor *= 128;
    }
    return this.fail();
  }

  /** The same for any 64-bit value but 0. */
  private lease(view: DataView): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70 && this.at < this.end; shift += 7) {
      const byte = view.getUint8(this.at++);
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        if (byte === 0 || (shift === 63 && byte > 1)) break;
        this.leaseHigh = high >>> 0;
        this.leaseLow = low >>> 0;
        return;
      }
    }
    this.fail();
  }

  private fail(): number {
    this.at = Number.MAX_SAFE_INTEGER;
    return 0;
  }
}
