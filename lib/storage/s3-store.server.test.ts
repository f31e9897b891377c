import { after, before } from 'node:test';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { describeObjectStore } from './object-store.conformance.ts';
import { S3Store } from './s3-store.ts';

let server: S3Server;
let stores = 0;

before(async () => {
  server = await startS3Server();
  await server.createBucket('backups');
});

after(() => server[Symbol.asyncDispose]());

describeObjectStore('a bucket of a real S3 server', () => {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const store = new S3Store({
    kind: 's3',
    bucket: 'backups',
    prefix: `store-${(stores += 1)}`,
    endpoint,
    credentials: { kind: 'static', accessKeyId, secretAccessKey },
  });
  return Promise.resolve({ store, [Symbol.asyncDispose]: () => Promise.resolve() });
});
