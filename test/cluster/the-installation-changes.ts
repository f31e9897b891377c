import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../harness/eventually.ts';
import { installChart, rolledOut, SYSTEM_NAMESPACE, uninstallChart, upgradeChart } from './helm.ts';
import { noteGrants } from './permissions-are-used.ts';
import { backupOf, createObject, endOf, type Story } from './story.ts';

const IN_SYSTEM = `--namespace=${SYSTEM_NAMESPACE}`;

/** Upgrade, uninstall, install again: what was there stays, and is taken up. */
export function theInstallationChanges(told: () => Story): void {
  let kept = '';

  test('an EtcdBackup with deletionPolicy Delete takes what it stored with it', async () => {
    const story = told();
    await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'passing', { deletionPolicy: 'Delete' }));
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/passing');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    await story.cluster.kubectl('delete', 'etcdbackup', 'passing', IN_SYSTEM, '--timeout=60s');
    const reasons = ['--output=jsonpath={.items[*].reason}', '--field-selector=regarding.name=passing'];
    const happened = await story.cluster.kubectl('get', 'events.v1.events.k8s.io', IN_SYSTEM, ...reasons);
    assert.match(happened, /DataRemoved/);
  });

  test('the certificate authority is renewed when asked, without an interruption', async () => {
    const { cluster } = told();
    const trusted = ['configmap/etcdguardian-trust', IN_SYSTEM, '--output=jsonpath={.data.ca\\.crt}'];
    await cluster.kubectl(
      'annotate',
      'secret',
      'etcdguardian-authority',
      IN_SYSTEM,
      'etcdguardian.io/rotate=now',
    );
    await eventually('two authorities are trusted', async () => {
      const pem = await cluster.kubectl('get', ...trusted);
      return pem.split('BEGIN CERTIFICATE').length === 3;
    });
  });

  test('helm upgrade with other values: without the webhook only our own namespace works', async () => {
    const story = told();
    kept = await keptObjects(story);
    await upgradeChart(story.cluster, { replicas: 1, webhook: { enabled: false, policies: false } });
    await noteGrants(story);
    await rolledOut(story.cluster);
    assert.equal(await keptObjects(story), kept);
    await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'unstamped'));
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/unstamped');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
  });

  test('helm uninstall leaves definitions, resources, keys and data', async () => {
    const story = told();
    const { cluster } = story;
    const before = await storedObjects(story);
    kept = await keptObjects(story);
    await uninstallChart(cluster);
    assert.equal(await keptObjects(story), kept);
    const stored = await storedObjects(story);
    assert.deepEqual(
      [...before].filter((name) => !stored.has(name)),
      [],
    );
    const left = await cluster.kubectl('get', 'pods,deployments,daemonsets', IN_SYSTEM, '--output=name');
    assert.equal(left, '');
  });

  test('helm install takes all of it up again', async () => {
    const story = told();
    await installChart(story.cluster);
    await noteGrants(story);
    await rolledOut(story.cluster);
    assert.equal(await keptObjects(story), kept);
    await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'again'));
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/again');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
  });
}

async function storedObjects({ s3 }: Story): Promise<Set<string>> {
  return new Set(await readdir(join(s3.folder, 'backups'), { recursive: true }));
}

/** Which resources there are, by their uids, and which authority and signing key. */
async function keptObjects({ cluster }: Story): Promise<string> {
  const identity = '--output=jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\\n"}{end}';
  const keys = ['etcdguardian-authority', 'etcdguardian-signing'];
  const [definitions, resources, secrets] = await Promise.all([
    cluster.kubectl('get', 'customresourcedefinitions', identity),
    cluster.kubectl('get', 'etcdbackups,etcdbackupschedules,etcdrestores', IN_SYSTEM, identity),
    cluster.kubectl('get', 'secrets', ...keys, IN_SYSTEM, '--output=jsonpath={.items[*].data}'),
  ]);
  return [definitions, resources, secrets].join('\n');
}
