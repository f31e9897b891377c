import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { test } from 'node:test';
import {
  customResource,
  resourcePath,
  startAdmissionScene,
  TENANT_BACKUP,
} from '../harness/admission-scene.ts';
import { type Certificate, createAuthority } from '../harness/certificates.ts';
import { eventually } from '../harness/eventually.ts';
import { KUBE_PROGRAMS } from '../harness/kube-apiserver.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

test(
  'with a CA for its clients, the webhook answers an API server that shows a certificate, and nobody else; and nobody without end',
  needs(...KUBE_PROGRAMS),
  async () => {
    await using clients = await createAuthority('webhook clients');
    await using others = await createAuthority('somebody else');
    await using folder = await temporaryFolder();
    const ours = await clients.issue({ uses: ['client'] });
    const config = folder.join('admission.yaml');
    await writeFile(config, admissionConfiguration(folder.join('kubeconfig.yaml')));
    await writeFile(folder.join('kubeconfig.yaml'), clientConfig(ours));

    await using scene = await startAdmissionScene({
      args: [`--admission-control-config-file=${config}`],
      env: { ETCDGUARDIAN_WEBHOOK_CLIENT_CA: clients.certificateFile, ETCDGUARDIAN_REQUESTER_QUESTIONS: '1' },
      policies: false,
    });
    // The scene has seen that the API server is answered.
    assert.equal(await isLetIn(scene.hooks, ours), true);
    assert.equal(await isLetIn(scene.hooks, undefined), false);
    assert.equal(await isLetIn(scene.hooks, await others.issue({ uses: ['client'] })), false);

    // Each asks for eight times as much as alice may have in a second.
    const refused = await eventually('she is told to wait', async () => {
      const body = customResource('EtcdBackup', 'another', TENANT_BACKUP);
      const path = `${resourcePath('etcdbackups', 'team-a')}?dryRun=All`;
      const answer = await scene.as('alice', 'POST', path, { body });
      return answer.status === 429 && answer;
    });
    assert.match(refused.message, /user "alice" asks for too much at once — Try again in \d+ s/);
    assert.ok((refused.body as { details: { retryAfterSeconds: number } }).details.retryAfterSeconds >= 1);
  },
);

/** Whether the server goes on after the handshake, of which a client doesn't learn before it is answered. */
async function isLetIn(url: string, client: Certificate | undefined): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const identity = client === undefined ? {} : { cert: client.certificate, key: client.key };
  const socket = connect({
    ...{ host: '127.0.0.1', port: Number(new URL(url).port) },
    ...{ ...identity, rejectUnauthorized: false },
  });
  socket.on('error', () => {
    resolve(false);
  });
  socket.once('close', () => {
    resolve(false);
  });
  socket.once('data', () => {
    resolve(true);
  });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** As docs/admission.md shows it. */
function admissionConfiguration(kubeConfigFile: string): string {
  const configuration = {
    ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'WebhookAdmissionConfiguration' },
    kubeConfigFile,
  };
  const names = ['MutatingAdmissionWebhook', 'ValidatingAdmissionWebhook'];
  return JSON.stringify({
    ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration' },
    plugins: names.map((name) => ({ name, configuration })),
  });
}

function clientConfig({ certificateFile, keyFile }: Certificate): string {
  const user = { 'client-certificate': certificateFile, 'client-key': keyFile };
  return JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config' },
    // At port 443 it would be the name of the Service; here it has another.
    users: [{ name: '*', user }],
  });
}
