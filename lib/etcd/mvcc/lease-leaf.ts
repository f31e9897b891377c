import { Buffer } from 'node:buffer';
import { elementOffset, leafFlags, leafKeySize, leafKeyStart, leafValueSize } from '../bolt/page.ts';
import type { ByteWindow } from '../byte-window.ts';
import { crc32cOfRange } from '../crc32c.ts';
import { VarintReader } from './varint.ts';

/*
 * Leaf pages of bucket `lease`, packed to 8 bytes a lease: where leases come and go, their stale pages are many.
 *
 *   packed page   u32 CRC-32C of its keys and values · u32 their bytes · count × u64 lease id, as in the key
 */
const HEADER_SIZE = 8;
const ID_SIZE = 8;

/** What a packed page says. */
export interface LeaseLeaf {
  readonly checksum: number;
  /** Bytes of keys and values that `checksum` covers. */
  readonly size: number;
  /** The ids, 8 bytes each, ascending. */
  readonly ids: Buffer;
}

/** Packs leaf pages of leases. */
export class LeaseLeafPacker {
  /** Holds the page last packed; it begins at 0. */
  bytes = Buffer.allocUnsafeSlow(4096);
  private readonly reader = new VarintReader();

  /**
   * Packs the leaf page at `page`, which has no fault, and returns its size; undefined unless every element is a
   * lease.
   */
  pack(window: ByteWindow, page: number): number | undefined {
    const { bytes } = window;
    const count = bytes.readUInt16LE(page + 10);
    const size = HEADER_SIZE + count * ID_SIZE;
    if (this.bytes.length < size) this.bytes = Buffer.allocUnsafeSlow(size);
    let checksum = 0;
    let covered = 0;
    for (let index = 0; index < count; index++) {
      const element = elementOffset(page, index);
      const start = leafKeyStart(bytes, element);
      const end = start + ID_SIZE + leafValueSize(bytes, element);
      if (leafFlags(bytes, element) !== 0 || leafKeySize(bytes, element) !== ID_SIZE) return undefined;
      if (!this.isLease(bytes, start, end)) return undefined;
      checksum = crc32cOfRange(window, start, end, checksum);
      covered += end - start;
      bytes.copy(this.bytes, HEADER_SIZE + index * ID_SIZE, start, start + ID_SIZE);
    }
    this.bytes.writeUInt32LE(checksum, 0);
    this.bytes.writeUInt32LE(covered, 4);
    return size;
  }

  /** True when the record behind the key at `start` is leasepb.Lease: that very id, a TTL, perhaps a remaining TTL. */
  private isLease(bytes: Buffer, start: number, end: number): boolean {
    const { reader } = this;
    reader.at = start + ID_SIZE;
    if (!this.takes(bytes, 0x08, end)) return false;
    if (reader.high !== bytes.readUInt32BE(start) || reader.low !== bytes.readUInt32BE(start + 4))
      return false;
    if (this.takes(bytes, 0x10, end) && reader.high >= 0x8000_0000) return false;
    if (this.takes(bytes, 0x18, end) && reader.high >= 0x8000_0000) return false;
    return reader.at === end;
  }

  private takes(bytes: Buffer, tag: number, end: number): boolean {
    const { reader } = this;
    if (reader.at >= end || bytes.readUInt8(reader.at) !== tag) return false;
    reader.at++;
    return reader.next(bytes, end);
  }
}

export function unpackLeaseLeaf(bytes: Buffer): LeaseLeaf {
  return {
    checksum: bytes.readUInt32LE(0),
    size: bytes.readUInt32LE(4),
    ids: bytes.subarray(HEADER_SIZE),
  };
}
