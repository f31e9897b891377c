/**
 * `source`, ended with the signal's reason as soon as it aborts, even while the source is silent. The source is closed
 * in every case; on an abort without waiting for it, since it may never answer.
 */
export async function* untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  signal?.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  // One listener for the whole iteration: racing each item against one long-lived promise would keep them all.
  let interrupt: (() => void) | undefined;
  const onAbort = (): void => interrupt?.();
  signal?.addEventListener('abort', onAbort, { once: true });
  let open = true;
  try {
    for (;;) {
      const result = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        interrupt = () => {
          resolve(undefined);
        };
        iterator.next().then(resolve, (error: unknown) => {
          open = false;
          reject(error instanceof Error ? error : new Error(String(error)));
        });
      });
      signal?.throwIfAborted();
      if (result === undefined || result.done === true) {
        open = false;
        return;
      }
      yield result.value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (open) await close(iterator, signal?.aborted === true);
  }
}

async function close(iterator: AsyncIterator<unknown>, inBackground: boolean): Promise<void> {
  const closing = Promise.resolve(iterator.return?.());
  if (inBackground) closing.catch(() => undefined);
  else await closing;
}
