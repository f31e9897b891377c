/** Fills slots of shared memory one after the other. */
export class SlotFiller {
  private readonly memory: Buffer;
  private readonly slotSize: number;
  private readonly onFilled: (slot: number, length: number) => void;
  private readonly free: number[] = [];
  private current: number | undefined;
  private filled = 0;

  /** All slots are free at first. */
  constructor(memory: SharedArrayBuffer, slotSize: number, onFilled: (slot: number, length: number) => void) {
    this.memory = Buffer.from(memory);
    this.slotSize = slotSize;
    this.onFilled = onFilled;
    for (let slot = 0; slot < memory.byteLength / slotSize; slot++) this.free.push(slot);
  }

  /** True while as much as a whole slot can be written. */
  get hasRoom(): boolean {
    return this.free.length > 0;
  }

  /** For as long as there is room, at most a slot's size at a time. */
  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      this.current ??= this.next();
      const taken = Math.min(bytes.length - at, this.slotSize - this.filled);
      bytes.copy(this.memory, this.current * this.slotSize + this.filled, at, at + taken);
      at += taken;
      this.filled += taken;
      if (this.filled === this.slotSize) this.flush();
    }
  }

  /** Hands out what is in a slot that isn't full. */
  flush(): void {
    if (this.current === undefined) return;
    this.onFilled(this.current, this.filled);
    this.current = undefined;
    this.filled = 0;
  }

  giveBack(slot: number): void {
    this.free.push(slot);
  }

  private next(): number {
    const slot = this.free.shift();
    if (slot === undefined) throw new Error('no slot is free');
    return slot;
  }
}
