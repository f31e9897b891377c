import { etcd3Source } from '../../lib/etcd/client/etcd3.ts';

/** Clients that write as fast as a cluster takes it, until they are stopped. */
export interface Writers extends AsyncDisposable {
  /** How many writes were acknowledged. */
  done(): number;
  /** Rejects with what a write failed with, unless failures are `tolerated`. */
  stop(): Promise<void>;
}

export interface WritersOptions {
  readonly writers?: number;
  /** Default 100 bytes. */
  readonly valueBytes?: number;
  /** Each writer rests for so long after each write. */
  readonly restMs?: number;
  /** Members may die meanwhile: a write that fails is left at that. */
  readonly tolerant?: boolean;
}

export async function keepWriting(
  endpoints: readonly string[],
  { writers = 16, valueBytes = 100, restMs = 0, tolerant = false }: WritersOptions = {},
): Promise<Writers> {
  const source = etcd3Source({ endpoints });
  const client = await source.current();
  let done = 0;
  let going = true;
  const write = async (writer: number): Promise<void> => {
    for (let number = 0; going; number++) {
      const key = `/registry/pods/busy/${writer}-${number % 50}`;
      try {
        if (number % 20 === 19) await client.delete().key(key);
        else await client.put(key).value(`${number} `.padEnd(valueBytes, 'x'));
        done += 1;
      } catch (error) {
        if (!tolerant) throw error;
      }
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  };
  const all = Promise.allSettled(Array.from({ length: writers }, (_, writer) => write(writer)));
  const stop = async (): Promise<void> => {
    going = false;
    const results = await all;
    source[Symbol.dispose]();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  };
  return { done: () => done, stop, [Symbol.asyncDispose]: stop };
}
