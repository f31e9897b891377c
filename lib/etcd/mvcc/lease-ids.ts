import { RowTable } from '../row-table.ts';

const ID_SIZE = 8;

/** The ids of the leases in a file, 8 bytes each: added in the order of bucket `lease`, found by bisection. */
export class LeaseIds {
  private readonly rows = new RowTable(ID_SIZE);

  get count(): number {
    return this.rows.length;
  }

  /** Adds ids of 8 bytes each, all above those added before. */
  add(ids: Buffer): void {
    for (let at = 0; at < ids.length; at += ID_SIZE) {
      const row = this.rows.add();
      this.rows.set(row, 0, ids.readUInt32BE(at));
      this.rows.set(row, 4, ids.readUInt32BE(at + 4));
    }
  }

  has(high: number, low: number): boolean {
    let first = 0;
    let end = this.count;
    while (first < end) {
      const middle = (first + end) >>> 1;
      const order = this.rows.get(middle, 0) - high || this.rows.get(middle, 4) - low;
      if (order === 0) return true;
      if (order < 0) first = middle + 1;
      else end = middle;
    }
    return false;
  }
}
