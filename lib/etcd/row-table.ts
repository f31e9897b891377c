const CHUNK_BITS = 14;
const ROWS_PER_CHUNK = 1 << CHUNK_BITS;
const MASK = ROWS_PER_CHUNK - 1;
const FIRST_ROWS = 64;

/**
 * Rows of a fixed number of bytes each, addressed by number: millions of them without an object per row, growing
 * without being copied (but for the first chunk, which starts small). Fields are read and written at byte offsets
 * within the row, little-endian.
 */
export class RowTable {
  readonly rowSize: number;
  length = 0;
  private readonly chunks: DataView<ArrayBuffer>[] = [];
  /** Rows that there is room for. */
  private capacity = 0;

  constructor(rowSize: number) {
    this.rowSize = rowSize;
  }

  /** Bytes of all rows. */
  get size(): number {
    return this.length * this.rowSize;
  }

  /** Adds a row and returns its number. What is in it is unspecified until written, zeros at first. */
  add(): number {
    const row = this.length++;
    if (row === this.capacity) this.extend();
    return row;
  }

  /** Adds rows until there are `length`, unspecified as those of `add`. */
  grow(length: number): void {
    while (this.capacity < length) this.extend();
    this.length = Math.max(this.length, length);
  }

  /** Forgets the rows from number `length` on. */
  truncate(length: number): void {
    this.length = length;
  }

  /**
   * For loops that touch several fields of a row: its chunk, in which the row starts at `at(row)`. Good until rows are
   * added.
   */
  chunk(row: number): DataView {
    const chunk = this.chunks[row >>> CHUNK_BITS];
    if (chunk === undefined || row >= this.length) throw new RangeError(`row ${row} of ${this.length}`);
    return chunk;
  }

  at(row: number): number {
    return (row & MASK) * this.rowSize;
  }

  get(row: number, field: number): number {
    return this.chunk(row).getUint32(this.at(row) + field, true);
  }

  set(row: number, field: number, value: number): void {
    this.chunk(row).setUint32(this.at(row) + field, value, true);
  }

  /**
   * In a table whose rows ascend in `field`: the first row whose value is at least `value`, `length` when there is
   * none.
   */
  lowerBound(field: number, value: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.get(middle, field) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private extend(): void {
    const first = this.chunks[0];
    if (this.capacity >= ROWS_PER_CHUNK || first === undefined) {
      const rows = first === undefined ? FIRST_ROWS : ROWS_PER_CHUNK;
      this.chunks.push(new DataView(new ArrayBuffer(rows * this.rowSize)));
      this.capacity += rows;
      return;
    }
    const rows = Math.min(8 * this.capacity, ROWS_PER_CHUNK);
    const larger = new Uint8Array(rows * this.rowSize);
    larger.set(new Uint8Array(first.buffer));
    this.chunks[0] = new DataView(larger.buffer);
    this.capacity = rows;
  }
}
