import { randomBytes } from 'node:crypto';

/**
 * Folds a record's create_revision and version into 32 keyed bits such that the next put of the same key is recognised:
 * create_revision unchanged, version one higher. A record that doesn't follow passes with a chance of 1 in 2^31.
 */
export class Continuity {
  private readonly low: number;
  private readonly high: number;
  private readonly step: number;

  constructor(key: Buffer = randomBytes(12)) {
    // Odd, so that no difference in a low half is lost.
    this.low = key.readInt32LE(0) | 1;
    this.high = key.readInt32LE(4) | 1;
    this.step = key.readInt32LE(8) | 1;
  }

  of(createRevision: number, version: number): number {
    const low = Math.imul(createRevision | 0, this.low);
    const high = Math.imul(createRevision / 0x1_0000_0000, this.high);
    return (low + high + Math.imul(version | 0, this.step)) >>> 0;
  }

  follows(previous: number, next: number): boolean {
    return (previous + this.step) >>> 0 === next;
  }
}
