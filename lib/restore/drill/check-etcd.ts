import type { HashKV } from '../../etcd/client/etcd-client.ts';
import type { Restored } from '../offline-restore.ts';
import { countResources } from './count-resources.ts';
import type { DrillEtcd } from './drill-etcd.ts';
import type { Check, DrillReport } from './drill-report.ts';

/** HashKV reads the whole database, and the disk may be slow. */
const HASH_TIMEOUT_MS = 30 * 60_000;

export interface CheckedEtcd extends Pick<DrillReport, 'keys' | 'resources'> {
  readonly checks: readonly Check[];
  /** Its HashKV(0). */
  readonly answered: HashKV;
}

/** Whether etcd serves exactly what was restored: the hash that was foretold over all of it, and as many keys. */
export async function checkEtcd(
  { client, endpoint }: Pick<DrillEtcd, 'client' | 'endpoint'>,
  { hashKV, revision, verdict }: Restored,
  signal: AbortSignal | undefined,
): Promise<CheckedEtcd> {
  const answer = await client.hashKV(endpoint, 0n, { timeoutMs: HASH_TIMEOUT_MS, signal });
  const { resources, keys } = await countResources(client, signal);
  return {
    ...{ resources, keys: Number(keys), answered: answer },
    checks: [
      {
        name: 'HashKV(0) is the one that was foretold',
        passed: answer.hash === hashKV && answer.hashRevision === revision,
        detail:
          answer.hash === hashKV && answer.hashRevision === revision
            ? `${hashKV} at revision ${revision}`
            : `etcd answers ${answer.hash} at revision ${answer.hashRevision}, foretold was ${hashKV} at ${revision}`,
      },
      {
        name: 'every key is there',
        passed: keys === BigInt(verdict.totalKeys),
        detail:
          keys === BigInt(verdict.totalKeys)
            ? `keys: ${keys}, resources: ${resources.length}`
            : `etcd has ${keys} keys, the data ${verdict.totalKeys}`,
      },
    ],
  };
}
