import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createAuthority } from './certificates.ts';
import { startEtcd } from './etcd.ts';
import { sample } from './sampling.ts';
import { ETCD_VERSIONS, needs } from './tools.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'etcd of the harness')) {
  const programs = needs(`etcd ${version}`, `etcdctl ${version}`);

  test(
    `etcd ${version} starts, keeps its data over kill -9 and restart, and leaves nothing behind`,
    programs,
    async () => {
      let dataDir: string;
      {
        await using etcd = await startEtcd({ version });
        dataDir = etcd.dataDir;
        await etcd.etcdctl('put', 'a', 'b');
        const before = await etcd.status();
        await etcd.kill();
        await etcd.restart();
        assert.match(await etcd.etcdctl('get', 'a'), /^a\nb\n$/);
        const after = await etcd.status();
        assert.equal(after.revision, 2n);
        assert.equal(after.memberId, before.memberId);
        assert.equal(after.leader, after.memberId);
      }
      assert.equal(existsSync(dataDir), false);
    },
  );

  test(`etcd ${version} speaks TLS, asks for a client's certificate and a password`, programs, async () => {
    await using authority = await createAuthority();
    await using etcd = await startEtcd({
      version,
      tls: { authority, clientCertAuth: true },
      rootPassword: 'correct horse',
    });
    assert.match(etcd.endpoint, /^https:/);
    assert.match(await etcd.etcdctl('put', 'a', 'b'), /OK/);
    await assert.rejects(etcd.etcdctl('--user=root:wrong', 'get', 'a'), /invalid user ID or password/);
  });
}

test('an etcd that refuses to start fails with what it said', needs('etcd 3.6.16'), async () => {
  await assert.rejects(
    startEtcd({ args: ['--no-such-flag'] }),
    /flag provided but not defined: -no-such-flag/,
  );
});

test('a paused etcd answers again when it goes on', needs('etcd 3.6.16', 'etcdctl 3.6.16'), async () => {
  await using etcd = await startEtcd();
  await etcd.kill('SIGSTOP');
  await assert.rejects(etcd.etcdctl('--command-timeout=300ms', 'get', 'a'), /deadline exceeded/);
  await etcd.kill('SIGCONT');
  assert.equal(await etcd.etcdctl('get', 'a'), '');
});
