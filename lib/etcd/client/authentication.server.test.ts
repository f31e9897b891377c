import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { sample } from '../../../test/harness/sampling.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { GuardianError, hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import type { EtcdClient, WatchStream } from './etcd-client.ts';

const ROOT = { username: 'root', password: 'correct horse' };

for (const version of sample(ETCD_VERSIONS, 2, 'authentication')) {
  describe(`etcd ${version} with authentication`, needs(`etcd ${version}`, `etcdctl ${version}`), () => {
    test('lets the right user do everything, also after it forgot its tokens', async () => {
      await using etcd = await startEtcd({ version, rootPassword: ROOT.password });
      await using client = connectEtcd({ endpoints: [etcd.endpoint], credentials: ROOT });
      await useEverything(client, etcd);
      // Tokens live in the member's memory.
      await etcd.restart();
      await useEverything(client, etcd);
    });

    test('tells a wrong password, no password and a missing right apart', async () => {
      await using etcd = await startEtcd({ version, rootPassword: ROOT.password });
      await etcd.etcdctl('user', 'add', 'reader:secret');
      await etcd.etcdctl('role', 'add', 'some');
      await etcd.etcdctl('role', 'grant-permission', 'some', 'read', '/a');
      await etcd.etcdctl('user', 'grant-role', 'reader', 'some');
      const as = (username: string, password: string): EtcdClient =>
        connectEtcd({ endpoints: [etcd.endpoint], credentials: { username, password } });

      await using wrong = as('root', 'battery staple');
      await assert.rejects(
        wrong.range('/a'),
        refusal('etcd.unauthenticated', /doesn't take this user and password/),
      );
      await assert.rejects(drain(wrong, etcd), refusal('etcd.unauthenticated', /user and password/));

      await using nobody = connectEtcd({ endpoints: [etcd.endpoint] });
      await assert.rejects(nobody.range('/a'), refusal('etcd.unauthenticated', /wants to know who asks/));
      await assert.rejects(drain(nobody, etcd), refusal('etcd.unauthenticated', /wants to know who asks/));

      await using reader = as('reader', 'secret');
      assert.equal((await reader.range('/a')).count, 0n);
      await assert.rejects(reader.range('/b'), refusal('etcd.permission-denied', /.*/, /role root/));
      await assert.rejects(drain(reader, etcd), refusal('etcd.permission-denied', /.*/, /role root/));
      await assert.rejects(reader.hashKV(etcd.endpoint, 0n), refusal('etcd.permission-denied'));
      await assert.rejects(
        firstOf(reader.watch({ key: '\0', rangeEnd: '\0' })),
        refusal('etcd.permission-denied'),
      );
    });
  });
}

test(
  'a password is no obstacle where authentication is off, nor when it is turned on later',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using etcd = await startEtcd();
    await using client = connectEtcd({ endpoints: [etcd.endpoint], credentials: ROOT });
    await useEverything(client, etcd);
    await etcd.etcdctl('user', 'add', `root:${ROOT.password}`);
    await etcd.etcdctl('user', 'grant-role', 'root', 'root');
    await etcd.etcdctl('auth', 'enable');
    await useEverything(client, etcd);
  },
);

async function useEverything(client: EtcdClient, etcd: Etcd): Promise<void> {
  await client.range('a');
  await client.members();
  await client.alarms();
  await client.leases();
  await client.hashKV(etcd.endpoint, 0n);
  assert.ok((await drain(client, etcd)) > 0);
  assert.equal(await firstOf(client.watch({ key: '\0', rangeEnd: '\0' })), 'created');
}

async function drain(client: EtcdClient, etcd: Etcd): Promise<number> {
  let size = 0;
  for await (const piece of client.snapshot(etcd.endpoint)) size += piece.length;
  return size;
}

async function firstOf(watch: WatchStream): Promise<string | undefined> {
  for await (const { kind } of watch) return kind;
  return undefined;
}

function refusal(code: string, message = /.*/, hint = /.+/): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GuardianError);
    assert.ok(hasCode(error, code), `${error.code}: ${error.message}`);
    assert.match(error.message, message);
    assert.match(error.hint ?? '', hint);
    assert.equal(error.retryable, false);
    return true;
  };
}
