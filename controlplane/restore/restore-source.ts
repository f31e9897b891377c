import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { Encryption, StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { SCHEDULE_LABEL } from '../backup/backup-labels.ts';
import { newestReadingDrill, type ReadingDrill } from './encryption-at-rest.ts';
import { parseSnapshotLocation, type SnapshotPlace } from '../backup/snapshot-location.ts';

/** What an EtcdRestore restores from. */
export interface RestoreSource {
  readonly place: SnapshotPlace;
  /** As the status tells it. */
  readonly snapshotLocation: string;
  /** The EtcdBackup, where one is named; of a schedule its newest completed run. */
  readonly backupName: string | undefined;
  readonly storageLocation: StorageLocation;
  readonly encryption: Encryption | undefined;
  /** The newest drill with an API server that it, or another run of its schedule, has passed, as far as is known. */
  readonly drill: ReadingDrill | undefined;
}

/**
 * Follows what the spec names to a place in a store. Nothing here decides about rights. Rejects with
 * `restore.no-backup`, `restore.backup-not-completed`, `restore.other-store`, `controlplane.snapshot-location`, and the
 * client's errors.
 */
export async function restoreSource(
  { metadata, spec }: EtcdRestore,
  client: KubeClient,
  signal: AbortSignal,
): Promise<RestoreSource> {
  const { namespace = '' } = metadata;
  const { snapshotLocation, backupName } = spec;
  const runs = backupName === undefined ? [] : await namedBackups(client, namespace, backupName, signal);
  const [backup] = runs;
  const drill = newestReadingDrill(runs);
  if (snapshotLocation !== undefined) {
    const place = parseSnapshotLocation(snapshotLocation);
    const storageLocation = spec.storageLocation ?? backup?.spec.storageLocation ?? storeOf(place);
    requireSameStore(place, storageLocation);
    return {
      ...{ place, snapshotLocation, storageLocation, drill },
      backupName: undefined,
      encryption: spec.encryption ?? backup?.spec.encryption,
    };
  }
  const located = backup?.status?.snapshotLocation;
  if (backup === undefined || located === undefined || backup.status?.phase !== 'Completed')
    throw notCompleted(namespace, backupName ?? '', backup?.status?.phase);
  return {
    place: parseSnapshotLocation(located),
    snapshotLocation: located,
    backupName: backup.metadata.name,
    storageLocation: backup.spec.storageLocation,
    encryption: backup.spec.encryption,
    drill,
  };
}

/** The backup itself; where it has a schedule, or is one, its completed runs, the newest first, one at least. */
async function namedBackups(
  client: KubeClient,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<EtcdBackup[]> {
  const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
  try {
    const backup = await client.get<EtcdBackup>(reference, { signal });
    if ((backup.spec.schedule ?? '') === '') return [backup];
  } catch (error) {
    if (!hasCode(error, 'kubernetes.not-found')) throw error;
  }
  const runs = await client.list<EtcdBackup>(ETCD_BACKUP_RESOURCE, {
    ...{ namespace, signal, labelSelector: `${SCHEDULE_LABEL}=${name}` },
  });
  const completed = runs.items
    .filter(({ status }) => status?.phase === 'Completed' && status.snapshotLocation !== undefined)
    .sort((a, b) => (b.status?.completionTime ?? '').localeCompare(a.status?.completionTime ?? ''));
  if (completed.length > 0) return completed;
  throw new GuardianError(
    'restore.no-backup',
    `there is no EtcdBackup ${namespace}/${name}, and no completed run of a schedule of that name`,
    { hint: 'kubectl get etcdbackups shows them; one that is gone is restored by its snapshotLocation.' },
  );
}

/** What the place itself tells, for a store that our own identity opens. */
function storeOf({ store }: SnapshotPlace): StorageLocation {
  const url = URL.parse(store);
  if (url?.protocol === 'file:') return { provider: 'Local', bucket: decodeURIComponent(url.pathname) };
  const prefix = url?.pathname.replace(/^\/+/, '') ?? '';
  return { provider: 'S3', bucket: url?.host ?? '', ...(prefix === '' ? {} : { prefix }) };
}

function requireSameStore({ store }: SnapshotPlace, location: StorageLocation): void {
  if (location.provider === 'Local') return;
  const url = URL.parse(store);
  const prefix = (location.prefix ?? '').replace(/\/+$/, '');
  const named = url?.pathname.replace(/^\/+|\/+$/g, '') ?? '';
  if (url?.host === location.bucket && named === prefix) return;
  throw new GuardianError(
    'restore.other-store',
    `snapshotLocation is in ${store}, and storageLocation names bucket ${location.bucket}${prefix === '' ? '' : ` with prefix ${prefix}`}`,
    { hint: 'Give the storageLocation of the EtcdBackup that snapshotLocation is from.' },
  );
}

function notCompleted(namespace: string, name: string, phase: string | undefined): GuardianError {
  return new GuardianError(
    'restore.backup-not-completed',
    `EtcdBackup ${namespace}/${name} is ${phase ?? 'not begun'}, and tells no place to restore from`,
    { hint: 'Wait until it has completed, or name another one.' },
  );
}
