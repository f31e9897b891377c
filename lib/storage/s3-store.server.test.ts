import { after, before } from 'node:test';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { describeObjectStore } from './object-store.conformance.ts';
import { openBucket } from './s3-store.fixture.ts';

let server: S3Server;

before(async () => {
  server = await startS3Server();
  await server.createBucket('backups');
});

after(() => server[Symbol.asyncDispose]());

describeObjectStore('a bucket of a real S3 server', () =>
  Promise.resolve({ store: openBucket(server), [Symbol.asyncDispose]: () => Promise.resolve() }),
);
