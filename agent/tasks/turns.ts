/** Lets one after the other work, in the order in which they came. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /**
   * Runs `work` when all before are done. `onWait` is told first how many those are, if any. Rejects with the signal's
   * reason when that aborts before its turn.
   */
  async take<T>(work: () => Promise<T>, onWait: (before: number) => void, signal: AbortSignal): Promise<T> {
    const before = this.last;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.last = Promise.all([before, promise]);
    if (this.waiting > 0) onWait(this.waiting);
    this.waiting++;
    try {
      await abortable(before, signal);
      return await work();
    } finally {
      this.waiting--;
      resolve(undefined);
    }
  }
}

async function abortable(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const stop = (): void => {
    resolve(undefined);
  };
  signal.addEventListener('abort', stop);
  await Promise.race([promise, aborted]);
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
}
