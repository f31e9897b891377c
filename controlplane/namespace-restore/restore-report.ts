import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { RestoredObjects } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import type { ObjectOutcome } from '../../lib/kubernetes/import/stored-record.ts';
import type { KubeClient, KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { CONFIG_MAPS } from '../core-resources.ts';

/** A ConfigMap holds 1 MiB in all. */
const MOST_REPORT_BYTES = 900 * 1024;
/** On the ConfigMap: the uid of its EtcdRestore. */
const REPORT_LABEL = 'etcdguardian.io/report-of';

/** How often each thing happened. */
export function countsOf(outcomes: readonly ObjectOutcome[]): Required<Omit<RestoredObjects, 'report'>> {
  const counts = { created: 0, replaced: 0, skipped: 0, failed: 0 };
  for (const { result } of outcomes) counts[result]++;
  return counts;
}

/** A line for each object, those that need someone first; cut, and said so, where they are too many. */
export function reportText(outcomes: readonly ObjectOutcome[], dryRun: boolean): string {
  const ordered = (['failed', 'skipped', 'replaced', 'created'] as const).flatMap((wanted) =>
    outcomes.filter(({ result }) => result === wanted),
  );
  const head = dryRun ? ['# a dry run: nothing was written'] : [];
  const lines: string[] = [];
  let bytes = 0;
  for (const { result, object, reason } of ordered) {
    const line = reason === '' ? `${result} ${object}` : `${result} ${object}: ${reason}`;
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > MOST_REPORT_BYTES) {
      lines.push(`# and ${ordered.length - lines.length} more`);
      break;
    }
    lines.push(line);
  }
  return `${[...head, ...lines].join('\n')}\n`;
}

/**
 * Writes the report beside the EtcdRestore, as the requester, so that it takes no right of ours; resolves to its name.
 * Rejects with `tenant.report`, which says why there is none.
 */
export async function writeReport(
  client: KubeClient,
  restore: EtcdRestore,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  const { name: owner, namespace = '', uid = '' } = restore.metadata;
  const name = `${owner.slice(0, 240)}-report`;
  const { apiVersion, kind } = ETCD_RESTORE_RESOURCE;
  const map = {
    ...{ apiVersion: 'v1', kind: 'ConfigMap' },
    metadata: {
      ...{ name, namespace, labels: { [REPORT_LABEL]: uid } },
      ownerReferences: [{ apiVersion, kind, name: owner, uid }],
    },
    data: { report: text },
  };
  try {
    try {
      await client.create(CONFIG_MAPS, namespace, map, { signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      const reference = { resource: CONFIG_MAPS, namespace, name };
      const there = await client.get<KubeObject>(reference, { signal });
      if (there.metadata.labels?.[REPORT_LABEL] !== uid)
        throw new GuardianError(
          'tenant.report',
          `ConfigMap ${name} is there already, and not of this restore`,
        );
      const { resourceVersion } = there.metadata;
      const metadata = { ...map.metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
      await client.replace<KubeObject>(reference, { ...map, metadata }, { signal });
    }
    return name;
  } catch (error) {
    signal.throwIfAborted();
    throw new GuardianError('tenant.report', `there is no report: ${reasonOf(error)}`, {
      hint: 'Whoever asks for a restore needs to create ConfigMaps beside it.',
      cause: error,
    });
  }
}
