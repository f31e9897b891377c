import { hasCode } from '../../guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../api/etcd-backup.ts';
import { type EtcdBackupSchedule, ETCD_BACKUP_SCHEDULE_RESOURCE } from '../api/etcd-backup-schedule.ts';
import type { LabelSelector } from '../api/etcd-backup-spec.ts';
import type { KubeClient, KubeObject } from '../kube-client.ts';
import { labelSelectorText } from './label-selector.ts';
import {
  type Asked,
  isNamespaced,
  type RestoreSource,
  selectsAll,
  type Surroundings,
} from './required-rights.ts';

/**
 * Which namespaces a selector selects. `now`: as etcd has it, for a run, which reads them. `as-known`: as the API server has
 * it in memory, as its authorizers have their roles; for admission, after which each run asks again. Asking for `now`
 * makes an API server wait for etcd's word that nothing changed, up to 100 ms while anything else is written.
 */
export type Freshness = 'now' | 'as-known';

/**
 * What `requiredRights` needs to know of the cluster, read with this process's own rights. Rejects with `KubeClient`'s
 * codes and `admission.selector`.
 */
export async function readSurroundings(
  client: KubeClient,
  asked: Asked,
  signal: AbortSignal,
  freshness: Freshness,
): Promise<Surroundings> {
  const selected = async (selector: LabelSelector | undefined): Promise<readonly string[]> =>
    selector === undefined || selectsAll(selector)
      ? []
      : await selectedNamespaces(client, selector, signal, freshness);
  switch (asked.kind) {
    case 'EtcdBackup':
      return of(await selected(asked.spec.namespaceSelector));
    case 'EtcdBackupSchedule':
      return of(await selected(asked.spec.backupTemplate.spec.namespaceSelector));
    case 'EtcdRestore': {
      const { backupName, namespaceFilter = [] } = asked.spec;
      const source =
        backupName === undefined
          ? undefined
          : await restoreSource(client, asked.namespace, backupName, signal);
      // The stored namespaces are those of its run; until that is read, those that its selector finds today.
      const isDecided = namespaceFilter.length > 0 || !isNamespaced(asked.spec, source);
      return of(isDecided ? [] : await selected(source?.spec.namespaceSelector), source);
    }
  }
}

/** The names of the namespaces that a selector selects now, in their order; none for one that means the whole cluster. */
export async function selectedNamespaces(
  client: KubeClient,
  selector: LabelSelector,
  signal: AbortSignal,
  freshness: Freshness = 'now',
): Promise<readonly string[]> {
  const labelSelector = labelSelectorText(selector);
  if (freshness === 'as-known') {
    // What lies in memory comes in one page.
    const { items } = await client.list<KubeObject>(NAMESPACES, {
      labelSelector,
      signal,
      resourceVersion: '0',
    });
    return items.map((item) => item.metadata.name).sort();
  }
  const names: string[] = [];
  let next: string | undefined;
  do {
    const { items, metadata } = await client.list<KubeObject>(NAMESPACES, {
      ...{ labelSelector, signal, limit: PAGE },
      ...(next === undefined ? {} : { continue: next }),
    });
    names.push(...items.map((item) => item.metadata.name));
    next = metadata.continue;
  } while (next !== undefined && next !== '');
  return names.sort();
}

/**
 * What a restore's `backupName` means: a backup, or the schedule whose runs it is about. Of their status nothing is
 * taken: who may write it may not decide about rights.
 */
export async function restoreSource(
  client: KubeClient,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<RestoreSource | undefined> {
  const found = async <T extends KubeObject>(
    resource: typeof ETCD_BACKUP_RESOURCE | typeof ETCD_BACKUP_SCHEDULE_RESOURCE,
  ): Promise<T | undefined> => {
    try {
      return await client.get<T>({ resource, namespace, name }, { signal });
    } catch (error) {
      if (hasCode(error, 'kubernetes.not-found')) return undefined;
      throw error;
    }
  };
  const backup = await found<EtcdBackup>(ETCD_BACKUP_RESOURCE);
  if (backup !== undefined) return { kind: 'EtcdBackup', name, spec: backup.spec };
  const schedule = await found<EtcdBackupSchedule>(ETCD_BACKUP_SCHEDULE_RESOURCE);
  return schedule && { kind: 'EtcdBackupSchedule', name, spec: schedule.spec.backupTemplate.spec };
}

const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces' } as const;
const PAGE = 500;

function of(namespaces: readonly string[], source?: RestoreSource): Surroundings {
  return { namespaces, source };
}
