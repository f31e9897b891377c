import { GuardianError } from '../guardian-error.ts';

const MIB = 1 << 20;
const MOST_PARTS = 10_000;
/** What S3 takes as one part. */
const LARGEST_PART_BYTES = 5 * 1024 * MIB;
/** Held by one upload while parts are small enough; large parts need two buffers, whatever they take. */
const BUDGET_BYTES = 64 * MIB;

export const FIRST_PART_BYTES = 8 * MIB;

/**
 * The size of a part, from 1. S3 takes 10,000 parts and the length isn't known beforehand, so the size doubles every
 * 1,000 parts: from 8 MiB the first 8 GB need no more memory than that, and 10,000 parts hold 7.8 TiB (S3's limit is
 * 5 TiB). A part is about a thousandth of what precedes it, or the first size if that is more.
 */
export function partSize(part: number, firstBytes: number = FIRST_PART_BYTES): number {
  if (part > MOST_PARTS) {
    throw new GuardianError('store.full', `an object can't have more than ${MOST_PARTS} parts`, {
      hint: 'The backup is larger than an S3 object may be.',
    });
  }
  return Math.min(firstBytes * 2 ** Math.floor((part - 1) / 1000), LARGEST_PART_BYTES);
}

/** The buffers that an upload owns: taken to be filled, given back once sent, and used again. */
export class PartBuffers {
  readonly #concurrency: number;
  readonly #free: Buffer[] = [];
  #taken = 0;
  #waiting: (() => void) | undefined;

  /** `concurrency` parts are sent while one more is filled, as long as the budget allows. */
  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Resolves once a buffer may be had; for one caller at a time. Rejects with the signal's reason when it aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<Buffer> {
    const most = Math.max(2, Math.min(this.#concurrency + 1, Math.floor(BUDGET_BYTES / bytes)));
    const wake = (): void => this.#waiting?.();
    signal.addEventListener('abort', wake);
    try {
      while (this.#taken >= most && !signal.aborted) {
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
    signal.throwIfAborted();
    this.#taken += 1;
    const free = this.#free.pop();
    if (free?.length === bytes) return free;
    this.#free.length = 0;
    return Buffer.allocUnsafeSlow(bytes);
  }

  giveBack(buffer: Buffer): void {
    this.#taken -= 1;
    this.#free.push(buffer);
    this.#waiting?.();
  }
}
