import type { EtcdBackupSpec, LabelSelector, StorageLocation } from '../api/etcd-backup-spec.ts';
import type { EtcdBackupScheduleSpec } from '../api/etcd-backup-schedule-spec.ts';
import type { EtcdRestoreSpec } from '../api/etcd-restore-spec.ts';
import {
  clusterRight,
  hooksRight,
  readNamespace,
  readObject,
  readSecret,
  restoreNamespace,
  veleroRight,
} from './single-rights.ts';
import type { Right } from './right.ts';
import { isAllowedEndpoint, type TenantEndpoints } from './tenant-endpoints.ts';

/** What someone asks for, and in which namespace the resource stands. */
export type Asked =
  | { readonly kind: 'EtcdBackup'; readonly namespace: string; readonly spec: EtcdBackupSpec }
  | { readonly kind: 'EtcdBackupSchedule'; readonly namespace: string; readonly spec: EtcdBackupScheduleSpec }
  | { readonly kind: 'EtcdRestore'; readonly namespace: string; readonly spec: EtcdRestoreSpec };

/** What the rights depend on beside what is asked; see `readSurroundings`. */
export interface Surroundings {
  /** The namespaces that are to be read or written, as far as a selector decides: those it selects now. */
  readonly namespaces: readonly string[];
  /** What a restore's `backupName` means; undefined where there is no such thing, or nothing was asked for by name. */
  readonly source: RestoreSource | undefined;
}

export interface RestoreSource {
  readonly kind: 'EtcdBackup' | 'EtcdBackupSchedule';
  readonly name: string;
  readonly spec: EtcdBackupSpec;
}

/** What an installation decided. */
export interface RightsSettings {
  readonly tenantEndpoints: TenantEndpoints;
  /** Where Velero's resources are. */
  readonly veleroNamespace: string;
}

/**
 * Every right that the requester needs for what is asked: the rules of admission and of each run, in one place. No
 * clock, no network.
 */
export function requiredRights(
  asked: Asked,
  surroundings: Surroundings,
  settings: RightsSettings,
): readonly Right[] {
  switch (asked.kind) {
    case 'EtcdBackup':
      return distinct(backupRights(asked.namespace, asked.spec, surroundings, settings));
    case 'EtcdBackupSchedule': {
      const { spec } = asked.spec.backupTemplate;
      return distinct(backupRights(asked.namespace, spec, surroundings, settings));
    }
    case 'EtcdRestore':
      return distinct(restoreRights(asked.namespace, asked.spec, surroundings, settings));
  }
}

/** No selector and an empty one both mean everything. */
export function selectsAll(selector: LabelSelector | undefined): boolean {
  const labels = Object.keys(selector?.matchLabels ?? {});
  return labels.length === 0 && (selector?.matchExpressions ?? []).length === 0;
}

/**
 * Whether a restore goes through the API server into these namespaces only. A place in a store tells nothing that could
 * be believed about what lies there: without a filter it is the whole cluster.
 */
export function isNamespaced(spec: EtcdRestoreSpec, source: RestoreSource | undefined): boolean {
  if ((spec.namespaceFilter ?? []).length > 0) return true;
  return spec.snapshotLocation === undefined && !selectsAll(source?.spec.namespaceSelector ?? {});
}

function* backupRights(
  namespace: string,
  spec: EtcdBackupSpec,
  { namespaces }: Surroundings,
  settings: RightsSettings,
): Generator<Right> {
  if (selectsAll(spec.namespaceSelector))
    yield clusterRight(
      'backup',
      'without a namespaceSelector the whole cluster is backed up',
      'Select namespaces that you may read with namespaceSelector',
    );
  else yield* readNamespaces(namespaces);
  if ((spec.etcdEndpoints ?? []).length > 0)
    yield clusterRight('backup', 'etcdEndpoints names an etcd', 'Leave etcdEndpoints out');
  if (spec.etcdCertificates !== undefined)
    yield clusterRight('backup', 'etcdCertificates are for a whole etcd', 'Leave etcdCertificates out');
  yield* locationRights('backup', spec.storageLocation, settings);
  yield* keyRights('backup', spec);
  yield* secretRights(namespace, spec);
  if (hasHooks(spec.hooks?.preBackup, spec.hooks?.postBackup)) yield hooksRight();
  if (spec.veleroIntegration.enabled) yield veleroRight(settings.veleroNamespace);
}

function* restoreRights(
  namespace: string,
  spec: EtcdRestoreSpec,
  { namespaces, source }: Surroundings,
  settings: RightsSettings,
): Generator<Right> {
  const filter = spec.namespaceFilter ?? [];
  const targets = filter.length > 0 ? filter : namespaces;
  if (isNamespaced(spec, source)) for (const target of targets) yield restoreNamespace(target);
  else
    yield clusterRight(
      'restore',
      'without a namespaceFilter the whole cluster is restored',
      'Name namespaces of yours in namespaceFilter',
    );
  if (spec.etcdCluster !== undefined)
    yield clusterRight('restore', 'etcdCluster names an etcd', 'Leave etcdCluster out');

  // A place wins over a name, and brings its own store and key, or those that the name knows.
  if (
    spec.snapshotLocation !== undefined &&
    spec.storageLocation === undefined &&
    spec.backupName === undefined
  )
    yield clusterRight(
      'restore',
      "without a storageLocation the operator's own identity reads the backup",
      'Give storageLocation with a credentialsSecret',
    );
  if (spec.snapshotLocation !== undefined) yield* placeRights(spec.snapshotLocation, settings);
  if (spec.storageLocation !== undefined) yield* locationRights('restore', spec.storageLocation, settings);
  if (spec.encryption !== undefined) yield* keyRights('restore', { encryption: spec.encryption });
  yield* secretRights(namespace, spec);
  if (spec.backupName !== undefined) yield* sourceRights(namespace, spec.backupName, source, settings);
  if (hasHooks(spec.preRestoreHooks, spec.postRestoreHooks)) yield hooksRight();
}

/** Who restores from a backup needs to see it, and what it needs to be read with. */
function* sourceRights(
  namespace: string,
  name: string,
  source: RestoreSource | undefined,
  settings: RightsSettings,
): Generator<Right> {
  const because = `it restores from ${name}`;
  // The newest run is meant, whose name nobody knows yet.
  const isSchedule = source?.kind === 'EtcdBackupSchedule' || (source?.spec.schedule ?? '') !== '';
  if (source?.kind === 'EtcdBackupSchedule')
    yield readObject('etcdbackupschedules', namespace, name, because);
  yield readObject('etcdbackups', namespace, isSchedule ? undefined : name, because);
  if (source === undefined) return;
  yield* locationRights('restore', source.spec.storageLocation, settings);
  yield* keyRights('restore', source.spec);
  const { storageLocation, encryption } = source.spec;
  yield* secretRights(namespace, { storageLocation, encryption });
}

function* placeRights(place: string, { tenantEndpoints }: RightsSettings): Generator<Right> {
  const url = URL.parse(place);
  if (url === null || url.protocol === 'file:') {
    yield clusterRight('restore', 'snapshotLocation is a folder on a node', 'Use an object store');
    return;
  }
  for (const endpoint of url.searchParams.getAll('endpoint'))
    if (!isAllowedEndpoint(endpoint, tenantEndpoints)) yield endpointRight('restore', endpoint);
}

function endpointRight(verb: 'backup' | 'restore', endpoint: string): Right {
  return clusterRight(
    verb,
    `endpoint ${endpoint} is not among those that tenants may use`,
    'Ask an administrator to allow the endpoint for tenants',
  );
}

function* locationRights(
  verb: 'backup' | 'restore',
  location: StorageLocation,
  { tenantEndpoints }: RightsSettings,
): Generator<Right> {
  const { provider, endpoint, credentialsSecret } = location;
  if (provider === 'Local') {
    yield clusterRight(verb, 'provider Local is a folder on a node', 'Use an object store');
    return;
  }
  if (credentialsSecret === undefined || credentialsSecret === '')
    yield clusterRight(
      verb,
      "without a credentialsSecret the operator's own identity is used",
      'Name a Secret of your namespace in storageLocation.credentialsSecret',
    );
  if (endpoint !== undefined && !isAllowedEndpoint(endpoint, tenantEndpoints))
    yield endpointRight(verb, endpoint);
}

/** A key service is asked with the operator's own identity, which others' data keys are wrapped for as well. */
function* keyRights(
  verb: 'backup' | 'restore',
  { encryption }: Pick<EtcdBackupSpec, 'encryption'>,
): Generator<Right> {
  if (encryption.kmsKeyID !== undefined)
    yield clusterRight(
      verb,
      "kmsKeyID is used with the operator's own identity",
      'Use encryptionSecret instead of kmsKeyID',
    );
}

function* secretRights(namespace: string, spec: SecretUser): Generator<Right> {
  const { storageLocation, encryption, etcdCertificates } = spec;
  const named: readonly (readonly [field: string, secret: string | undefined])[] = [
    ['storageLocation.credentialsSecret', storageLocation?.credentialsSecret],
    ['encryption.encryptionSecret', encryption?.encryptionSecret],
    ['etcdCertificates.ca', etcdCertificates?.ca],
    ['etcdCertificates.cert', etcdCertificates?.cert],
    ['etcdCertificates.key', etcdCertificates?.key],
  ];
  for (const [field, secret] of named) {
    // SECRET or SECRET/KEY.
    const [name = ''] = secret?.split('/') ?? [];
    if (name !== '') yield readSecret(namespace, name, `${field} names it`);
  }
}

type SecretUser = Partial<Pick<EtcdBackupSpec, 'storageLocation' | 'encryption' | 'etcdCertificates'>>;

function* readNamespaces(namespaces: readonly string[]): Generator<Right> {
  if (namespaces.length > ONE_BY_ONE) yield* readNamespace(undefined, namespaces.length);
  else for (const name of namespaces) yield* readNamespace(name);
}

/** More than so many namespaces are asked for as what a review calls all of them: six reviews instead of thousands. */
const ONE_BY_ONE = 100;

function hasHooks(...hooks: readonly (readonly unknown[] | undefined)[]): boolean {
  return hooks.some((some) => some !== undefined && some.length > 0);
}

function distinct(rights: Iterable<Right>): Right[] {
  const seen = new Map<string, Right>();
  for (const right of rights) {
    const { verb, group, resource, namespace, name } = right;
    const key = JSON.stringify([verb, group, resource, namespace, name]);
    const known = seen.get(key);
    if (known === undefined) seen.set(key, right);
    // One right, needed for several reasons: whoever is refused wants to know them all.
    else if (!known.because.includes(right.because))
      seen.set(key, {
        ...known,
        because: `${known.because}; ${right.because}`,
        remedy: `${known.remedy}; ${right.remedy}`,
      });
  }
  return [...seen.values()];
}
