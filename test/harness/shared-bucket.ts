import { after, before } from 'node:test';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { S3Store } from '../../lib/storage/s3-store.ts';
import { type S3Server, startS3Server } from './s3.ts';

/** A bucket of a real S3 server that all tests of a file share. */
export interface SharedBucket {
  /** Started before the tests, ended behind them. */
  readonly server: () => S3Server;
  /** A store of an empty prefix of its own. */
  readonly openPrefix: () => ObjectStore;
}

export function sharedBucket(): SharedBucket {
  let started: S3Server | undefined;
  let prefixes = 0;
  before(async () => {
    started = await startS3Server();
    await started.createBucket('backups');
  });
  after(() => started?.[Symbol.asyncDispose]());
  const server = (): S3Server => {
    if (started === undefined) throw new Error('the S3 server of this file was not started yet');
    return started;
  };
  const openPrefix = (): ObjectStore => {
    const { endpoint, region, accessKeyId, secretAccessKey } = server();
    const credentials = { kind: 'static', accessKeyId, secretAccessKey } as const;
    prefixes += 1;
    const place = { bucket: 'backups', prefix: `prefix-${prefixes}`, endpoint, region };
    return new S3Store({ kind: 's3', ...place, credentials });
  };
  return { server, openPrefix };
}
