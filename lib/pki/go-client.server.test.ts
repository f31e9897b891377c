import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import { runProgram } from '../../test/harness/run-program.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs, requireTool } from '../../test/harness/tools.ts';
import { type ForgedCertificate, forgedCertificate } from './forged-certificate.fixture.ts';
import { identityUri } from './identity.ts';
import { credentialsFor, newAuthority, WEBHOOK } from './installation.fixture.ts';
import { createKey, privateKeyPem } from './key-pair.ts';
import { webhookTls } from './mutual-tls.ts';

const NAME = 'etcdguardian-webhook.etcd-guardian-system.svc';
const authority = await newAuthority();

/** What a Go program, with the TLS stack that API servers have, says to a server: its answer, or why it trusts it not. */
async function askWithGo(server: TlsOptions, ca: X509Certificate): Promise<string> {
  await using folder = await temporaryFolder();
  await writeFile(folder.join('ca.crt'), ca.toString());
  const listening = createServer(server, (_, response) => response.end('"welcome"'));
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  try {
    return await runProgram(
      requireTool('kubectl', '1.36.3'),
      [
        ...[`--server=https://127.0.0.1:${port}`, `--tls-server-name=${NAME}`],
        ...[`--certificate-authority=${folder.join('ca.crt')}`, '--kubeconfig=/dev/null', '--token=any'],
        ...['get', '--raw=/'],
      ],
      { env: { HOME: folder.path } },
    );
  } finally {
    listening.closeAllConnections();
    listening.close();
  }
}

test("API servers, whose TLS is Go's, take our webhook's certificate", needs('kubectl 1.36.3'), async () => {
  const webhook = await credentialsFor(authority, WEBHOOK, { dnsNames: [NAME] });
  assert.match(await askWithGo(webhookTls(webhook), authority.certificate), /welcome/);
});

const BEYOND: readonly { what: string; names: Partial<ForgedCertificate>; says: RegExp }[] = [
  {
    what: 'a Service of another namespace',
    names: { dnsNames: [NAME, 'kubernetes.default.svc'] },
    says: /not permitted by any constraint/,
  },
  {
    what: 'an identity in another cluster',
    names: { dnsNames: [NAME], uris: [identityUri({ ...WEBHOOK, cluster: 'other' })] },
    says: /not permitted by any constraint/,
  },
  {
    what: 'an address',
    names: { dnsNames: [NAME], addresses: [Uint8Array.of(127, 0, 0, 1)] },
    says: /is excluded by constraint/,
  },
];

for (const { what, names, says } of BEYOND) {
  test(`Go holds our authority to its constraints: ${what}`, needs('kubectl 1.36.3'), async () => {
    const key = await createKey();
    const leaf = forgedCertificate({ key, now: new Date(), issuer: authority, ...names });
    const server = { cert: leaf.toString(), key: privateKeyPem(key) };
    await assert.rejects(askWithGo(server, authority.certificate), { message: says });
  });
}
