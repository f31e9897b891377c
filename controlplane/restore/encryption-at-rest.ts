import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { NeededKey } from '../../lib/keyspace/keys-needed.ts';

/** A drill that read Secrets through an API server. */
export interface ReadingDrill {
  /** The EtcdBackup that was drilled. */
  readonly backup: string;
  /** RFC 3339. */
  readonly time: string;
  readonly kubeApiserverVersion: string;
}

/** The newest of their drills that passed with an API server. */
export function newestReadingDrill(backups: readonly EtcdBackup[]): ReadingDrill | undefined {
  return backups
    .flatMap(({ metadata, status }): ReadingDrill[] => {
      const { result, time, kubeApiserverVersion } = status?.validationResult?.drill ?? {};
      if (result !== 'Passed' || time === undefined || kubeApiserverVersion === undefined) return [];
      return [{ backup: metadata.name, time, kubeApiserverVersion }];
    })
    .sort((a, b) => b.time.localeCompare(a.time))
    .at(0);
}

/**
 * Of a plan: which keys API servers need to read what is restored, by their names as values in etcd have them, and whether
 * anybody has ever shown that it can be read. Of a restore point, the keys of its base.
 */
export function encryptionAtRestLines(
  needed: readonly Pick<NeededKey, 'provider' | 'key'>[] = [],
  drill: ReadingDrill | undefined,
): string[] {
  if (needed.length === 0) return [];
  const keys = needed.map(({ provider, key }) => `${provider} ${key}`).join(', ');
  const needs = `the restored data is encrypted at rest: the EncryptionConfiguration of every API server must have ${keys}`;
  if (drill === undefined)
    return [
      `warning: ${needs}; that it can be read no drill with an API server has shown (annotate the EtcdBackup: etcdguardian.io/drill)`,
    ];
  const { backup, time, kubeApiserverVersion } = drill;
  return [
    `${needs}; a drill of ${backup} read it with kube-apiserver ${kubeApiserverVersion} on ${time}, by the file that drills have`,
  ];
}
