import type { S3Server } from './s3.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

/** The options that name a local store below `folder`. */
export function localStoreOptions(folder: TemporaryFolder, name = 'store'): string[] {
  return ['--store', `file://${folder.join(name)}`];
}

/**
 * The options that name a prefix of a bucket, reached through `endpoint` where something stands before the server.
 * Its credentials go where the program looks for them: into the environment of this process and its children.
 */
export function s3StoreOptions(
  s3: Pick<S3Server, 'endpoint' | 'region' | 'accessKeyId' | 'secretAccessKey'>,
  bucketAndPrefix: string,
  endpoint = s3.endpoint,
): string[] {
  process.env.AWS_ACCESS_KEY_ID = s3.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = s3.secretAccessKey;
  return ['--store', `s3://${bucketAndPrefix}`, '--s3-endpoint', endpoint, '--s3-region', s3.region];
}
