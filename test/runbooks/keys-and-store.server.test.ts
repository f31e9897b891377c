import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { startS3Server } from '../harness/s3.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { operator, type Substitutions } from './runbooks.ts';

const KEY = '/registry/configmaps/shop/settings';

test(
  'what lies in the safe, what is proven, what was deleted, keys, and a store that is gone',
  needs('etcd 3.6.16', 'etcdctl 3.6.16', 'versitygw'),
  async () => {
    await using folder = await temporaryFolder();
    await using s3 = await startS3Server();
    for (const bucket of ['backups', 'backups-2']) await s3.createBucket(bucket);
    await using etcd = await startEtcd();
    await etcd.etcdctl('put', KEY, 'colour: green');
    const options = `?endpoint=${s3.endpoint}`;
    const places: Substitutions = [
      ['s3://backups-2/prod', `s3://backups-2/prod${options} --cluster prod`],
      ['s3://backups/prod', `s3://backups/prod${options}`],
      ['us-east-1', s3.region],
      ['https://127.0.0.1:2379', etcd.endpoint],
      [/^export ETCDCTL_C.*\n/gm, ''],
    ];
    const store = s3StoreOptions(s3, 'backups/prod');
    const person = await operator(folder, places);

    await person.next(0);
    person.done(0);

    // A capture, as a schedule has an agent run it.
    const keys = ['--key-file', folder.join('root', 'guardian.key')];
    const cli = guardianCli(folder);
    const capture = await cli.start([
      ...['capture', 'run', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...store, ...keys],
      ...['--seal-interval', '1s', '--proof', 'off'],
    ]);
    const known = async (): Promise<string> =>
      (await cli.run(['history', 'get', KEY, ...store, ...keys])).stdout;
    await eventually('the key is captured', async () => (await known()).includes('created'));
    // A change that is surely seen before the moment to which the page goes back.
    await etcd.etcdctl('put', KEY, 'colour: blue');
    await eventually('the change is captured', async () => (await known()).includes('changed'));
    const moment = new Date().toISOString();
    await etcd.etcdctl('del', KEY);
    await eventually('the deletion is captured', async () => (await known()).includes('DELETED'));
    await capture.stop();

    assert.match(await person.next(1), /encrypted/);
    assert.match(await person.next(1), /HashKV|holds|restore/i);
    person.done(1);

    assert.match(await person.next(2), /DELETED/);
    const then: Substitutions = [['14:05', moment]];
    await person.next(2, then);
    assert.equal(await readFile(folder.join('root', 'settings.value'), 'utf8'), 'colour: blue');
    await person.next(2);
    assert.match(await etcd.etcdctl('get', KEY), /colour: blue/);
    assert.match(await person.next(2, then), /settings|registry|keys/);
    person.done(2);

    assert.match(await person.next(7), /is sound/);
    const recovered = await person.next(7);
    assert.equal(recovered.match(/is sound/g)?.length, 2, recovered);
    person.done(7);

    assert.match(await person.next(8), /s3:\/\/backups-2\/prod/);
    const [, id = ''] =
      /^(2\w+-\w+)/m.exec((await cli.run(['backup', 'list', ...store, ...keys])).stdout) ?? [];
    const deleted = await cli.run(['backup', 'delete', id, ...store, ...keys, '--even-the-last']);
    assert.equal(deleted.status, 0, deleted.stderr);
    assert.match(await person.next(8, [['BACKUP', id]]), /removed/);
    assert.match(await person.next(8), /is sound/);
    person.done(8);
  },
);
