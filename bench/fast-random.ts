import { Buffer } from 'node:buffer';
import { createCipheriv, createHash } from 'node:crypto';

/** Fast numbers that follow from a seed: for making gigabytes of test data, not for secrets. */
export class FastRandom {
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 1;

  constructor(seed: number | string) {
    const digest = createHash('sha256').update(String(seed)).digest();
    this.restart(digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8));
  }

  /** From now on the sequence of this seed: an object's content follows from its number. */
  restart(a: number, b = 0, c = 0): void {
    this.a = a;
    this.b = b;
    this.c = c;
    this.counter = 1;
    for (let warmUp = 0; warmUp < 8; warmUp++) this.next();
  }

  /** 32 bits, unsigned (the generator is Chris Doty-Humphrey's sfc32). */
  next(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** 0 ≤ x < limit ≤ 2^32. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  /** 0 ≤ x < 1. */
  fraction(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** Around 0, mostly within ±1: the sum of twelve, as usual where speed matters. */
  gauss(): number {
    let sum = -6;
    for (let count = 0; count < 12; count++) sum += this.fraction();
    return sum;
  }

  /** Writes lower-case hex digits to bytes[at, end). */
  hex(bytes: Buffer, at: number, end: number): void {
    let digits = 0;
    for (let to = at; to < end; to++) {
      if (((to - at) & 7) === 0) digits = this.next();
      bytes[to] = HEX[digits & 15] ?? 0;
      digits >>>= 4;
    }
  }
}

const HEX = Buffer.from('0123456789abcdef');

/** Bytes that don't compress, gigabytes a second of them, following from a seed. */
export class RandomBytes {
  private readonly cipher;
  private readonly zeros = Buffer.alloc(64 * 1024);

  constructor(seed: number | string) {
    const digest = createHash('sha256').update(`bytes ${seed}`).digest();
    this.cipher = createCipheriv('aes-128-ctr', digest.subarray(0, 16), digest.subarray(16));
  }

  fill(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += this.zeros.length) {
      this.cipher.update(this.zeros.subarray(0, Math.min(this.zeros.length, end - at))).copy(bytes, at);
    }
  }
}
