import type { KeySet } from '../../lib/encryption/key-set.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { storeNetwork, type TenantEndpoints } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import type { S3Settings } from '../../lib/storage/s3-settings.ts';
import { storeAccess } from '../../lib/storage/store-access.ts';
import { parseSnapshotLocation } from '../backup/snapshot-location.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import { type DrillOrder, ORDER_FOLDER } from './drill-order.ts';

/** What tells `etcdguardian drill run` which backup, and what opens it. */
export type DrillInput = Pick<DrillOrder, 'arguments' | 'files' | 'environment'>;

const STORE_CA = 'store-ca.crt';
const BACKUP_KEYS = 'backup-keys';
const SIGNERS = 'signers.pem';

/**
 * The pod gets the key that opens the backup, where it is encrypted; of the installation's own signing key only the public
 * half. Its connections to the store may lead where those of the backup might. Rejects with
 * `controlplane.snapshot-location`, the errors of `storeAccess` and those of `loadKeys`.
 */
export async function drillInput(
  { status, spec }: Pick<EtcdBackup, 'spec' | 'status'>,
  secrets: Pick<RunSecrets, 'store' | 'keys'>,
  endpoints: TenantEndpoints,
): Promise<DrillInput> {
  const { cluster, timeline, chain, revision } = parseSnapshotLocation(status?.snapshotLocation ?? '');
  const access = storeAccess(spec.storageLocation, secrets.store);
  if (access.kind === 'local')
    throw new GuardianError(
      'controlplane.drill',
      `folder ${access.folder} lies on a node, which no pod reaches`,
      {
        hint: 'Run "etcdguardian drill run" on that node.',
      },
    );
  const { bucket, prefix, endpoint, region } = access;
  const { ca } = secrets.store;
  const network = storeNetwork(spec.storageLocation, endpoints);
  const { encryption, signing } = secrets.keys;
  const at = (name: string): string => `${ORDER_FOLDER}/${name}`;
  const signers = await publicKeys(signing);
  const isSealed = encryption.length > 0;
  return {
    arguments: [
      ...['--store', `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`],
      ...(endpoint === undefined ? [] : ['--s3-endpoint', endpoint]),
      ...(region === undefined ? [] : ['--s3-region', region]),
      ...(isGiven(ca) ? ['--s3-ca', at(STORE_CA)] : []),
      ...['--cluster', cluster],
      // A point behind the base is found by its revision, as a restore finds it.
      ...(revision === undefined
        ? ['--backup', chain]
        : ['--to-revision', `${revision}`, '--timeline', timeline]),
      ...(isSealed ? ['--key-file', at(BACKUP_KEYS)] : []),
    ],
    files: {
      ...(isGiven(ca) ? { [STORE_CA]: Buffer.from(ca) } : {}),
      ...(isSealed ? { [BACKUP_KEYS]: encryption } : {}),
      [SIGNERS]: Buffer.from(signers),
    },
    environment: {
      ETCDGUARDIAN_TRUSTED_SIGNERS: at(SIGNERS),
      // Files of a Secret can be read by the pod's group.
      ETCDGUARDIAN_KEY_PERMISSIONS: 'ignore',
      ...(network === undefined ? {} : { ETCDGUARDIAN_STORE_HOSTS: network.allowed.join(',') }),
      ...environmentOf(access.credentials),
    },
  };
}

/** Without keys the pod is who its service account is. */
function environmentOf(credentials: S3Settings['credentials']): Record<string, string> {
  if (credentials?.kind !== 'static') return {};
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  };
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

async function publicKeys(signing: Uint8Array): Promise<string> {
  // Much code, which idle processes go without.
  const { parseKeys } = await import('../../lib/encryption/load-keys.ts');
  const { description }: KeySet = parseKeys(signing, "this installation's signing key");
  return description.keys.map(({ publicKey = '' }) => publicKey).join('');
}
