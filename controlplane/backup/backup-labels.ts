import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';

/** On runs of a schedule: its name. */
export const SCHEDULE_LABEL = 'etcdguardian.io/schedule';
/** On a manifest: whose retention it falls under; see `retentionScope`. */
export const SCOPE_LABEL = 'etcdguardian.io/retention-scope';
const NAMESPACE_LABEL = 'etcdguardian.io/namespace';
const NAME_LABEL = 'etcdguardian.io/backup';

/** What a manifest says of the EtcdBackup that it was made for. */
export function manifestLabels(backup: EtcdBackup): Record<string, string> {
  const { name, namespace = '' } = backup.metadata;
  return { [NAMESPACE_LABEL]: namespace, [NAME_LABEL]: name, [SCOPE_LABEL]: retentionScope(backup) };
}

/** The parent that it is a run of; undefined for a backup on its own. */
export function parentOf({
  metadata,
}: Pick<EtcdBackup, 'metadata'>): { kind: string; name: string } | undefined {
  const owner = metadata.ownerReferences?.find(
    ({ apiVersion, controller }) => controller === true && apiVersion.startsWith('etcdguardian.io/'),
  );
  return owner && { kind: owner.kind, name: owner.name };
}

/**
 * Backups that one retention policy counts together: the runs of one schedule, or all single backups of a namespace.
 * By name, so that a schedule that was made again goes on where it was.
 */
export function retentionScope(backup: Pick<EtcdBackup, 'metadata'>): string {
  const { namespace = '' } = backup.metadata;
  const parent = parentOf(backup);
  return parent === undefined ? `EtcdBackup/${namespace}` : `${parent.kind}/${namespace}/${parent.name}`;
}

/** What metrics call it: a schedule's runs share a name, so that their sizes can be compared. */
export function metricName(backup: Pick<EtcdBackup, 'metadata'>): string {
  const { namespace = '', name } = backup.metadata;
  return `${namespace}/${parentOf(backup)?.name ?? name}`;
}
