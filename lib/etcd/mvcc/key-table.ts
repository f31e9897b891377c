import type { Buffer } from 'node:buffer';
import type { RecordCursor } from './record-cursor.ts';
import { UserKeyHash } from './user-key-hash.ts';

/** A first guess at the number of keys. */
const CAPACITY = 1024;
const NO_SLOT = -1;

/**
 * For each user key a revision and a few 32-bit words, in 20 bytes and 4 a word (up to three times that while it grows).
 * Keys are told apart by their keyed hash alone: see `UserKeyHash` for what that means.
 */
export class KeyTable {
  count = 0;

  private readonly hash: UserKeyHash;
  private readonly words: number;
  private capacity = CAPACITY;
  private slots: Slots;
  private view: DataView = new DataView(new ArrayBuffer(0));
  private viewed: Buffer | undefined;

  /** Tables that are to share a `hash` find the same keys. */
  constructor(words: number, hash = new UserKeyHash()) {
    this.hash = hash;
    this.words = words;
    this.slots = new Slots(CAPACITY, words);
  }

  /** The slot of the cursor's key, or -1. */
  find(record: RecordCursor): number {
    this.hashKey(record);
    const slot = this.probe();
    return this.slots.main[slot] === 0 ? NO_SLOT : slot;
  }

  /** The same, made where there was none. Slots move when others are made. */
  findOrAdd(record: RecordCursor): number {
    if (2 * this.count >= this.capacity) this.grow();
    this.hashKey(record);
    const slot = this.probe();
    if (this.slots.main[slot] === 0) {
      this.slots.first[slot] = this.hash.first;
      this.slots.second[slot] = this.hash.second;
      this.count++;
    }
    return slot;
  }

  /** Every key's slot. */
  *slotsInUse(): Generator<number, void> {
    for (let slot = 0; slot < this.capacity; slot++) if (this.slots.main[slot] !== 0) yield slot;
  }

  /** `main` is never 0. */
  setRevision(slot: number, main: number, sub: number): void {
    this.slots.main[slot] = main;
    this.slots.sub[slot] = sub;
  }

  mainAt(slot: number): number {
    return this.slots.main[slot] ?? 0;
  }

  subAt(slot: number): number {
    return this.slots.sub[slot] ?? 0;
  }

  word(slot: number, word: number): number {
    return this.slots.words[slot * this.words + word] ?? 0;
  }

  setWord(slot: number, word: number, value: number): void {
    this.slots.words[slot * this.words + word] = value;
  }

  private hashKey(record: RecordCursor): void {
    const { bytes, fields } = record;
    if (this.viewed !== bytes) {
      this.viewed = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.hash.hash(this.view, fields.keyStart, fields.keyEnd);
  }

  /** The key's slot, or the free one where it would go. */
  private probe(): number {
    const { first, second } = this.hash;
    const { slots } = this;
    const mask = this.capacity - 1;
    let slot = first & mask;
    while (slots.main[slot] !== 0 && (slots.first[slot] !== first || slots.second[slot] !== second)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private grow(): void {
    const old = this.slots;
    const oldCapacity = this.capacity;
    this.capacity *= 2;
    this.slots = new Slots(this.capacity, this.words);
    const mask = this.capacity - 1;
    for (let from = 0; from < oldCapacity; from++) {
      if (old.main[from] === 0) continue;
      let to = (old.first[from] ?? 0) & mask;
      while (this.slots.main[to] !== 0) to = (to + 1) & mask;
      this.slots.take(to, old, from);
    }
  }
}

class Slots {
  /** 0 marks a free slot. */
  readonly main: Float64Array;
  readonly sub: Uint32Array;
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly words: Uint32Array;

  constructor(capacity: number, words: number) {
    this.main = new Float64Array(capacity);
    this.sub = new Uint32Array(capacity);
    this.first = new Int32Array(capacity);
    this.second = new Int32Array(capacity);
    this.words = new Uint32Array(capacity * words);
  }

  take(to: number, other: Slots, from: number): void {
    this.main[to] = other.main[from] ?? 0;
    this.sub[to] = other.sub[from] ?? 0;
    this.first[to] = other.first[from] ?? 0;
    this.second[to] = other.second[from] ?? 0;
    const words = this.words.length / this.main.length;
    for (let word = 0; word < words; word++)
      this.words[to * words + word] = other.words[from * words + word] ?? 0;
  }
}
