import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createAuthority } from '../harness/certificates.ts';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { startS3Server } from '../harness/s3.ts';
import { guardianVersion } from '../../tools/image/guardian-image.ts';
import { applyObjects, guardianContainer, runPod } from './pods.ts';

/** What the other suites build on: pods, Services, names, the API server's way to a webhook, the way to a store. */
export function theNodeIsReal(running: () => Cluster): void {
  test('etcd and the control plane are static pods, as kubeadm lays them out', async () => {
    const manifests = await running().exec('ls', '/etc/kubernetes/manifests');
    assert.deepEqual(manifests.trim().split('\n').sort(), [
      ...['etcd.yaml', 'kube-apiserver.yaml', 'kube-controller-manager.yaml', 'kube-scheduler.yaml'],
    ]);
    assert.match(await running().exec('ls', '/var/lib/etcd/member'), /snap\nwal/);
  });

  test('the image runs as nobody in particular, with nothing to write to', async () => {
    const script = 'console.log(process.getuid(), process.getgid())';
    const [version, user] = await Promise.all([
      runPod(running(), 'version', { args: ['--version'] }),
      runPod(running(), 'user', { script }),
    ]);
    assert.equal(version.trim(), guardianVersion(join(import.meta.dirname, '..', '..')));
    assert.equal(user, '65532 65532\n');
  });

  test('a pod reaches another by the name of its Service, and the API server', async () => {
    const cluster = running();
    await serve(cluster, 'web', 80, SERVER);
    const script = `
      const get = async (url) => (await fetch(url)).text();
      const before = Date.now();
      const ask = () => get('http://web.default.svc').catch((error) => {
        if (Date.now() - before > 20_000) throw error;
        return new Promise((again) => setTimeout(again, 100)).then(ask);
      });
      console.log(await ask());
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      console.log(await get('https://kubernetes.default.svc/version'));`;
    const answers = await runPod(cluster, 'visitor', { script });
    assert.match(answers, /^hello$/m);
    assert.match(answers, /"gitVersion": "v1\.36\.3"/);
  });

  test('the API server asks a webhook that is a Service', async () => {
    const cluster = running();
    await using authority = await createAuthority();
    const { certificate, key } = await authority.issue({ hosts: ['judge.default.svc'] });
    await serve(cluster, 'judge', 443, judge(certificate, key));
    await applyObjects(cluster, webhookConfiguration(authority.certificate));
    const refused = await eventually('the webhook refuses', async () => {
      const attempt = await createConfigMap(cluster, 'refused').then(
        () => 'was admitted',
        (error: unknown) => String(error),
      );
      return attempt.includes('denied the request: not today') && attempt;
    });
    assert.match(refused, /admission webhook "judge\.default\.svc" denied/);
    await createConfigMap(cluster, 'welcome');
    await cluster.kubectl('delete', 'validatingwebhookconfiguration', 'judge');
  });

  test('a pod reaches an S3 server of the test', async () => {
    await using s3 = await startS3Server({ host: running().hostAddress });
    const script = `fetch('${s3.endpoint}/').then(async (answer) => console.log(answer.status, await answer.text()))`;
    assert.match(await runPod(running(), 'shopper', { script }), /^403 .*AccessDenied/s);
  });
}

const SERVER = `require('node:http').createServer((_, answer) => answer.end('hello')).listen(8080)`;

/** Refuses what is named "refused". */
function judge(certificate: string, key: string): string {
  return `require('node:https').createServer(${JSON.stringify({ cert: certificate, key })}, async (asked, answer) => {
    const { request } = JSON.parse(await asked.toArray().then((chunks) => Buffer.concat(chunks)));
    const response = { uid: request.uid, allowed: request.name !== 'refused', status: { message: 'not today' } };
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }));
  }).listen(8080)`;
}

/** A pod that listens on 8080, with a Service in front of it. */
async function serve(cluster: Cluster, name: string, port: number, script: string): Promise<void> {
  const container = {
    ...guardianContainer({ script }),
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  };
  const labels = { app: name };
  await applyObjects(
    cluster,
    {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels } },
      spec: { terminationGracePeriodSeconds: 0, containers: [container] },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name } },
      spec: { selector: labels, ports: [{ port, targetPort: 8080 }] },
    },
  );
  await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=120s', `pod/${name}`);
}

function webhookConfiguration(authority: string): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'judge' },
    webhooks: [
      {
        ...{
          name: 'judge.default.svc',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
        },
        clientConfig: {
          caBundle: Buffer.from(authority).toString('base64'),
          service: { namespace: 'default', name: 'judge', path: '/' },
        },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } },
      },
    ],
  };
}

async function createConfigMap(cluster: Cluster, name: string): Promise<void> {
  await cluster.kubectl('create', 'configmap', name, '--dry-run=server');
}
