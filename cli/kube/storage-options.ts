import { type Command, Option } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';

export interface StorageOptions {
  readonly store?: string;
  readonly provider?: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly credentialsSecret?: string;
  readonly encryptionSecret?: string;
}

/** Where a backup lies, as the agents reach it; Secrets are those of the resource's namespace. */
export function withStorageOptions(command: Command): Command {
  return command
    .option('--store <url>', 's3://bucket/prefix, or file:///folder on the node of the agent')
    .addOption(
      new Option('--provider <name>', 'refused by this version: use their S3, with --endpoint').choices([
        'OSS',
        'GCS',
        'Azure',
      ]),
    )
    .option('--region <region>', 'of the bucket')
    .option('--endpoint <url>', "S3 server other than Amazon's")
    .option('--credentials-secret <name>', 'Secret with access-key-id and secret-access-key')
    .option('--encryption-secret <name>', 'Secret with the key that encrypts');
}

/** Undefined where no store is named. Throws `usage.store`. */
export function storageLocation(options: StorageOptions): StorageLocation | undefined {
  const { store, provider = 'S3', region, endpoint, credentialsSecret } = options;
  if (store === undefined) return undefined;
  const [, scheme, rest = ''] = /^(s3|file):\/\/(.+)$/.exec(store) ?? [];
  if (scheme === 'file' && rest.startsWith('/')) return { provider: 'Local', bucket: rest };
  const [, bucket, prefix] = /^([^/]+)(?:\/(.*?))?\/*$/.exec(rest) ?? [];
  if (scheme === undefined || bucket === undefined)
    throw new GuardianError('usage.store', `"${store}" is no store`, {
      hint: 'write s3://bucket/prefix, or file:///folder for a folder on the node',
    });
  return {
    ...{ provider: provider as StorageLocation['provider'], bucket },
    ...(prefix === undefined || prefix === '' ? {} : { prefix }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentialsSecret === undefined ? {} : { credentialsSecret }),
  };
}

/** The spec's `encryption`; undefined where none is asked for. */
export function encryptionOf({
  encryptionSecret,
}: StorageOptions): { readonly enabled: true; readonly encryptionSecret: string } | undefined {
  return encryptionSecret === undefined ? undefined : { enabled: true, encryptionSecret };
}

/** `s3://bucket/prefix`, for people. */
export function locationText({ provider, bucket, prefix, endpoint }: StorageLocation): string {
  const at = endpoint === undefined ? '' : ` at ${endpoint}`;
  if (provider === 'Local') return `${bucket} on the node`;
  return `${provider.toLowerCase()}://${bucket}${prefix === undefined || prefix === '' ? '' : `/${prefix}`}${at}`;
}
