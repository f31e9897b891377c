import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { repositorySettings, repositoryWithBackup } from '../harness/repository.ts';
import { restoredAnswer, type RestoredAnswer } from '../harness/guardian-answers.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { type ProxyScript, s3ErrorBody, startHttpProxy } from '../harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { openStore } from '../../lib/storage/open-store.ts';

const NAMES = ['m1', 'm2', 'm3'];
const CLUSTER = NAMES.map((name, at) => `${name}=http://10.0.0.${at + 1}:2380`).join(',');
const NO_WRITES: ProxyScript = ({ method }) =>
  method === 'GET' || method === 'HEAD'
    ? { kind: 'pass' }
    : { kind: 'answer', status: 403, body: s3ErrorBody('AccessDenied') };

describe('nodes that restore from one bucket', needs('versitygw'), () => {
  test('at once come to one cluster, and at once again to another', async () => {
    await using folder = await temporaryFolder();
    await using s3 = await startS3Server();
    await backUp(s3);
    const cli = guardianCli(folder);
    const restoreAll = (round: string): Promise<RestoredAnswer[]> => {
      const own = (name: string): string[] => ['--name', name, '--data-dir', folder.join(round, name)];
      const restore = ['restore', ...s3StoreOptions(s3, 'backups/prod'), '--initial-cluster', CLUSTER];
      return Promise.all(NAMES.map((name) => cli.json(restoredAnswer, [...restore, ...own(name)])));
    };
    const rounds = [await restoreAll('first'), await restoreAll('second')].map((answers) => {
      const distinct = new Set(answers.map(({ clusterId, revision }) => `${clusterId} ${revision}`));
      assert.equal(distinct.size, 1, [...distinct].join(', '));
      return answers[0];
    });
    assert.notEqual(rounds[0]?.clusterId, rounds[1]?.clusterId);
    assert.ok(BigInt(rounds[1]?.revision ?? 0) > BigInt(rounds[0]?.revision ?? 0));
  });

  test('where one of them may only read, it joins the others; where all may, they agree and are warned', async () => {
    await using folder = await temporaryFolder();
    await using s3 = await startS3Server();
    await backUp(s3);
    await using reading = await startHttpProxy(s3.endpoint, NO_WRITES);
    const cli = guardianCli(folder);
    const restore = async (
      name: string,
      round: string,
      endpoint: string,
    ): Promise<[RestoredAnswer, string]> => {
      const from = ['restore', ...s3StoreOptions(s3, 'backups/prod', endpoint), '--initial-cluster', CLUSTER];
      const own = ['--name', name, '--data-dir', folder.join(round, name), '--output', 'json'];
      const { status, stdout, stderr } = await cli.run([...from, ...own]);
      assert.equal(status, 0, stderr);
      return [restoredAnswer.parse(JSON.parse(stdout)), stderr];
    };
    const [readers] = [await restore('m1', 'readers', reading.endpoint)];
    const [others, told] = await restore('m2', 'readers', reading.endpoint);
    assert.deepEqual([others.token, others.revision], [readers[0].token, readers[0].revision]);
    assert.match(
      told,
      /^warning: this restore can't be recorded in the store .*AccessDenied.*A second restore/m,
    );

    const [writer] = await restore('m1', 'mixed', s3.endpoint);
    const [reader, warned] = await restore('m2', 'mixed', reading.endpoint);
    assert.deepEqual([reader.token, reader.revision], [writer.token, writer.revision]);
    assert.match(
      warned,
      /^warning: the store can't be written, so restore 1 doesn't show that m2 is made here/m,
    );
  });
});

async function backUp(s3: S3Server): Promise<void> {
  await s3.createBucket('backups');
  const { endpoint, region, accessKeyId, secretAccessKey } = s3;
  const store = await openStore({
    ...{ kind: 's3', bucket: 'backups', prefix: 'prod', endpoint, region, pathStyle: true },
    credentials: { kind: 'static', accessKeyId, secretAccessKey },
  });
  await repositoryWithBackup(repositorySettings(store));
}
