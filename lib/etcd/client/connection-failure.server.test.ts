import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Authority, type Certificate, createAuthority } from '../../../test/harness/certificates.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { sample } from '../../../test/harness/sampling.ts';
import { startToxiproxy } from '../../../test/harness/toxiproxy.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { GuardianError } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import type { TlsSettings } from './etcd-settings.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'tls')) {
  describe(`connecting to etcd ${version} says`, needs(`etcd ${version}`), () => {
    let own: Authority;
    let other: Authority;
    let client: Certificate;
    let plain: Etcd;
    let secure: Etcd;
    before(async () => {
      [own, other] = await Promise.all([createAuthority('own'), createAuthority('other')]);
      client = await own.issue({ commonName: 'guardian', uses: ['client'] });
      [plain, secure] = await Promise.all([
        startEtcd({ version }),
        startEtcd({ version, tls: { authority: own, clientCertAuth: true } }),
      ]);
    });
    after(async () => {
      await Promise.all([plain, secure, own, other].map((each) => each[Symbol.asyncDispose]()));
    });

    test('nothing when all is well, by address and by name', async () => {
      const endpoints = [secure.endpoint, secure.endpoint.replace('127.0.0.1', 'localhost')];
      await using etcd = connectEtcd({ endpoints, tls: identity(own, client) });
      for (const endpoint of endpoints) assert.equal((await etcd.status(endpoint)).version, version);
    });

    test('that the CA is another', async () => {
      await refuses(secure.endpoint, identity(other, client), /not signed by the CA given/, /etcd\/ca\.crt/);
    });
    test("that the system's authorities didn't sign it", async () => {
      const { cert, key } = identity(own, client);
      await refuses(secure.endpoint, { cert, key }, /not signed by this system's authorities/, /give the CA/);
    });
    test('that a client certificate is missing', async () => {
      await refuses(secure.endpoint, { ca: own.certificate }, /wants a client certificate/, /server\.crt/);
    });
    test('that our certificate has expired', async () => {
      const expired = await own.issue({ commonName: 'guardian', uses: ['client'], expired: true });
      await refuses(
        secure.endpoint,
        identity(own, expired),
        /refuses our client certificate \(CN=guardian.*it ended 20/,
        /renew/,
      );
    });
    test("that our certificate's issuer isn't trusted", async () => {
      const foreign = await other.issue({ uses: ['client'] });
      await refuses(
        secure.endpoint,
        identity(own, foreign),
        /refuses our client certificate/,
        /--trusted-ca-file/,
      );
    });
    test('that the name is another', async () => {
      const tls = { ...identity(own, client), serverName: 'elsewhere.example' };
      await refuses(secure.endpoint, tls, /not for elsewhere\.example, but for DNS:localhost/, /server-name/);
    });
    test('that etcd wants TLS', async () => {
      await refuses(secure.endpoint.replace('https', 'http'), undefined, /wants TLS/, /https:\/\//);
    });
    test('that etcd speaks plain http', async () => {
      await refuses(
        plain.endpoint.replace('http', 'https'),
        { ca: own.certificate },
        /breaks TLS off/,
        /http:\/\//,
      );
    });
    test('nothing when any certificate will do', async () => {
      const tls = { ...identity(other, client), insecureSkipVerify: true };
      await using etcd = connectEtcd({ endpoints: [secure.endpoint], tls });
      assert.equal((await etcd.status(secure.endpoint)).version, version);
    });
  });
}

test("an expired certificate of etcd's is told with its date", needs('etcd 3.6.16'), async () => {
  await using authority = await createAuthority();
  const server = await authority.issue({ expired: true });
  await using etcd = await startEtcd({ tls: { authority, server } });
  await refuses(etcd.endpoint, { ca: authority.certificate }, /CN=localhost.* expired.*20\d\d-/, /renew/);
});

// Before 3.6 it answers clients too.
test("the peers' port is told from the clients'", needs('etcd 3.6.16'), async () => {
  await using etcd = await startEtcd();
  await refuses(
    etcd.peerUrl,
    undefined,
    /not etcd's client port: it answers "HTTP\/1/,
    /2380/,
    'etcd.protocol',
  );
});

test('nobody listening, no such name', async () => {
  await refuses('http://127.0.0.1:1', undefined, /127\.0\.0\.1:1 refuses/, /is etcd running/, 'etcd.refused');
  await refuses('http://[::1]:1', undefined, /\[::1\]:1/, /.+/, 'etcd.refused');
  await refuses('http://no-such.invalid', undefined, /no-such\.invalid can't be resolved/, /DNS/, 'etcd.dns');
});

test('a server that hangs up, or never says a word', async () => {
  const rude = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  // Reads what comes, or it would never notice that we left.
  const mute = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
  try {
    await Promise.all([once(rude, 'listening'), once(mute, 'listening')]);
    await refuses(`http://${addressOf(rude)}`, undefined, /hangs up/, /https/);
    await refuses(`https://${addressOf(rude)}`, undefined, /breaks TLS off/, /http:/);
    const silent = 'etcd.connect-timeout';
    await refuses(`http://${addressOf(mute)}`, undefined, /within 1000 ms: it connects/, /hangs/, silent);
    await refuses(`https://${addressOf(mute)}`, undefined, /within 1000 ms: TCP connects/, /hangs/, silent);
  } finally {
    rude.close();
    mute.close();
  }
});

test('a slow road is no broken one', needs('etcd 3.6.16', 'toxiproxy-server'), async () => {
  await using authority = await createAuthority();
  await using etcd = await startEtcd({ tls: { authority, clientCertAuth: true } });
  await using toxiproxy = await startToxiproxy();
  const proxy = await toxiproxy.createProxy(etcd.address);
  await proxy.addToxic({ type: 'latency', latencyMs: 1_500 });
  const tls = identity(authority, await authority.issue({ uses: ['client'] }));
  const endpoint = `https://${proxy.address}`;
  // TCP is up at once; TLS and HTTP/2 need two turns of 1.5 s, past the half of the limit.
  await using client = connectEtcd({ endpoints: [endpoint], tls, connectTimeoutMs: 5_800 });
  assert.equal((await client.status(endpoint)).isLeader, true);
});

function identity(authority: Authority, { certificate, key }: Certificate): TlsSettings {
  return { ca: authority.certificate, cert: certificate, key };
}

function addressOf(server: ReturnType<typeof createServer>): string {
  const { port } = server.address() as AddressInfo;
  return `127.0.0.1:${port}`;
}

async function refuses(
  endpoint: string,
  tls: TlsSettings | undefined,
  says: RegExp,
  hints: RegExp,
  code = 'etcd.tls',
): Promise<void> {
  const connectTimeoutMs = code === 'etcd.connect-timeout' ? 1_000 : 30_000;
  await using client = connectEtcd({ endpoints: [endpoint], tls, connectTimeoutMs });
  const started = Date.now();
  await assert.rejects(client.status(endpoint), (error) => {
    assert.ok(error instanceof GuardianError);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    assert.match(error.hint ?? '', hints);
    assert.ok(error.message.includes(client.endpoints[0] ?? ''), error.message);
    return true;
  });
  // It knows, and doesn't wait for its time to be over.
  const mostMs = code === 'etcd.connect-timeout' ? 20_000 : connectTimeoutMs;
  assert.ok(Date.now() - started < mostMs, `took ${Date.now() - started} ms`);
}
