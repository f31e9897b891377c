import { EtcdCompactedError } from '../etcd/client/compacted-error.ts';
import type { EtcdClient } from '../etcd/client/etcd-client.ts';
import { hasCode } from '../guardian-error.ts';

/** What looking for compactions needs of etcd. */
export type CompactionWatcher = Pick<EtcdClient, 'range' | 'watch'>;

export interface CompactionQuestion {
  readonly endpoint: string;
  /** A compaction that is known already; below 0: none. */
  readonly after: bigint;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The newest compaction of a member if it lies behind the known one and the revision after that; else undefined. Asks
 * for nothing that costs the member anything.
 */
export async function newestCompaction(
  client: CompactionWatcher,
  { endpoint, after, signal }: CompactionQuestion,
): Promise<bigint | undefined> {
  const first = (after < 0n ? 0n : after) + 1n;
  try {
    await client.range(ANY_KEY, {
      ...{ revision: first, serializable: true, countOnly: true, endpoint, signal },
    });
    return undefined;
  } catch (error) {
    if (hasCode(error, 'etcd.future-revision')) return undefined;
    if (!hasCode(error, 'etcd.compacted')) throw error;
  }
  // A watch from there is refused at once, and the refusal says where one could begin.
  const limit = AbortSignal.timeout(REFUSED_WITHIN_MS);
  const watch = client.watch({
    ...{ key: ANY_KEY, startRevision: first, endpoint },
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  });
  try {
    for await (const { kind } of watch) if (kind !== 'created') break;
    return undefined;
  } catch (error) {
    if (error instanceof EtcdCompactedError) return error.compactRevision;
    throw error;
  }
}

/** Whether there is such a key doesn't matter. */
const ANY_KEY = '\0';
const REFUSED_WITHIN_MS = 10_000;

/** Members keep the hashes that compactions come by from 3.5.5 on. */
export function keepsHashes(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > 3 || (major === 3 && (minor > 5 || (minor === 5 && patch >= 5)));
}
