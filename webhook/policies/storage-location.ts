import type { Encryption, StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { impossibleEndpoint } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { CONTENT, invalid, type Objection, type Policy, verdict } from '../policy.ts';
import { askedOf, backupOf, isAsked } from '../subject.ts';

/** Where a backup lies and what it is encrypted with, of backups, templates and restores alike. */
export const storageLocation: Policy = {
  name: 'storage-location',
  concerns: isAsked,
  judge(admission) {
    const asked = askedOf(admission);
    const backup = backupOf(asked);
    if (backup !== undefined) return verdict(problems(backup.path, backup.spec));
    return asked?.kind === 'EtcdRestore' ? verdict(problems('spec', asked.spec)) : CONTENT;
  },
};

function* problems(
  path: string,
  spec: { readonly storageLocation?: StorageLocation; readonly encryption?: Encryption },
): Generator<Objection> {
  const { storageLocation: location, encryption } = spec;
  if (location !== undefined) yield* locationProblems(`${path}.storageLocation`, location);
  if (
    encryption?.enabled === true &&
    encryption.kmsKeyID === undefined &&
    encryption.encryptionSecret === undefined
  )
    yield invalid(`${path}.encryption`, 'encryption needs a key, from kmsKeyID or encryptionSecret');
}

function* locationProblems(path: string, location: StorageLocation): Generator<Objection> {
  const { provider, bucket, prefix, region, endpoint, credentialsSecret } = location;
  if ((provider === 'S3' || provider === 'OSS') && (region === undefined || region === ''))
    yield invalid(
      `${path}.region`,
      'region is required for S3 and OSS; servers without regions take us-east-1',
    );
  if (provider === 'Local') {
    if (!bucket.startsWith('/') || hasDots(bucket) || hasControls(bucket))
      yield invalid(`${path}.bucket`, 'for Local, bucket is the absolute path of a folder');
    if (region !== undefined || endpoint !== undefined || credentialsSecret !== undefined)
      yield invalid(path, 'a Local folder has no region, endpoint or credentialsSecret');
  } else if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]$/.test(bucket)) {
    yield invalid(`${path}.bucket`, 'bucket is a name of letters, digits, "-", "_" and "."');
  }
  if (prefix !== undefined && (prefix.startsWith('/') || hasDots(prefix) || hasControls(prefix)))
    yield invalid(`${path}.prefix`, 'prefix is a relative path without "." and ".."');
  const impossible = endpoint === undefined ? undefined : impossibleEndpoint(endpoint);
  if (impossible !== undefined) yield invalid(`${path}.endpoint`, `endpoint ${impossible}`);
}

function hasDots(path: string): boolean {
  return path.split('/').some((part) => part === '.' || part === '..');
}

function hasControls(text: string): boolean {
  return /[\p{Cc}\p{Cf}]/u.test(text);
}
