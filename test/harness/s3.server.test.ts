import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { type Authority, createAuthority } from './certificates.ts';
import { type S3Server, startS3Server } from './s3.ts';
import { needs } from './tools.ts';

function clientOf(server: S3Server, authority?: Authority, patienceMs = 60_000): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: server,
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({
      requestTimeout: patienceMs,
      throwOnRequestTimeout: true,
      ...(authority === undefined ? {} : { httpsAgent: new Agent({ ca: authority.certificate }) }),
    }),
  });
}

test(
  'what was put into the S3 server is a file, fenced by If-None-Match, and outlives kill -9',
  needs('versitygw'),
  async () => {
    await using server = await startS3Server();
    const client = clientOf(server);
    const object = { Bucket: await server.createBucket('backups'), Key: 'a/b' };

    await client.send(new PutObjectCommand({ ...object, Body: 'hello' }));
    assert.equal(await readFile(join(server.folder, 'backups', 'a', 'b'), 'utf8'), 'hello');
    await assert.rejects(client.send(new PutObjectCommand({ ...object, Body: 'other', IfNoneMatch: '*' })), {
      name: 'PreconditionFailed',
    });

    await server.kill();
    await assert.rejects(client.send(new GetObjectCommand(object)), { code: 'ECONNREFUSED' });
    await server.restart();
    const { Body: body } = await client.send(new GetObjectCommand(object));
    assert.equal(await body?.transformToString(), 'hello');
    client.destroy();
  },
);

test('a paused S3 server answers nothing until it goes on', needs('versitygw'), async () => {
  await using server = await startS3Server();
  const client = clientOf(server);
  const hasty = clientOf(server, undefined, 300);
  const object = { Bucket: await server.createBucket('backups'), Key: 'a' };
  server.pause();
  await assert.rejects(hasty.send(new PutObjectCommand({ ...object, Body: 'hello' })), {
    name: 'TimeoutError',
  });
  server.resume();
  await client.send(new PutObjectCommand({ ...object, Body: 'hello' }));
  for (const one of [client, hasty]) one.destroy();
});

test('the S3 server speaks https and has Object Lock', needs('versitygw'), async () => {
  await using authority = await createAuthority();
  await using server = await startS3Server({ tls: { authority }, versioning: true });
  const bucket = await server.createBucket('locked', { objectLock: true });
  const client = clientOf(server, authority);
  const lock = await client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }));
  assert.equal(lock.ObjectLockConfiguration?.ObjectLockEnabled, 'Enabled');
  client.destroy();
  await assert.rejects(clientOf(server).send(new GetObjectLockConfigurationCommand({ Bucket: bucket })), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  });
});
