import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../harness/eventually.ts';
import { installChart, rolledOut, SYSTEM_NAMESPACE, uninstallChart, upgradeChart } from './helm.ts';
import { noteGrants, noteNoGrants } from './permissions-are-used.ts';
import { AS_TINA, backupOf, createObject, endOf, eventsOf, restoreOf, type Story } from './story.ts';

const AUTHORITY = 'etcdguardian-authority';
const IN_SYSTEM = `--namespace=${SYSTEM_NAMESPACE}`;

/** Upgrade, uninstall, install again: what was there stays, and is taken up. */
export function theInstallationChanges(told: () => Story): void {
  let kept = '';

  test('an EtcdBackup with deletionPolicy Delete takes what it stored with it', async () => {
    const story = told();
    const spec = { deletionPolicy: 'Delete', namespaceSelector: { matchLabels: { team: 'a' } } };
    await createObject(story, backupOf(story, 'team-a', 'passing', spec), ...AS_TINA);
    const ended = await endOf(story, 'team-a', 'etcdbackup/passing');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    await story.cluster.kubectl('delete', 'etcdbackup', 'passing', '--namespace=team-a', '--timeout=60s');
    assert.match(await eventsOf(story, 'team-a', 'passing'), /DataRemoved/);
  });

  test('helm upgrade with other values: without the webhook only our own namespace works', async () => {
    const story = told();
    const { cluster } = story;
    kept = await keptObjects(story);
    // What is on its way out is asked a last time when its rights have gone already.
    noteNoGrants(story, await cluster.auditLog());
    const hooks = { enabled: true };
    await upgradeChart(story.cluster, { replicas: 1, hooks, webhook: { enabled: false, policies: false } });
    await rolledOut(cluster);
    await noteGrants(story);
    await cluster.kubectl('annotate', 'secret', AUTHORITY, IN_SYSTEM, 'etcdguardian.io/rotate=now');
    assert.equal(await keptObjects(story), kept);
    await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'unstamped'));
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/unstamped');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    const trusted = ['configmap/etcdguardian-trust', IN_SYSTEM, '--output=jsonpath={.data.ca\\.crt}'];
    // The leader looks every 15 s.
    await eventually(
      'a new authority is trusted beside the old one, as was asked',
      async () => {
        const pem = await cluster.kubectl('get', ...trusted);
        return pem.split('BEGIN CERTIFICATE').length === 3;
      },
      180_000,
    );
  });

  test('hooks run on the node, and one that fails gives a restore up before anything is stopped', async () => {
    const story = told();
    const { cluster } = story;
    const hook = (name: string, script: string): object => ({
      ...{ name, type: 'Exec', timeoutSeconds: 60 },
      exec: { command: ['sh', '-c', script] },
    });
    const preRestoreHooks = [
      hook('marks', 'echo $ETCDGUARDIAN_HOOK on $(hostname) >/root/hooked'),
      hook('fails', 'echo no good; exit 3'),
    ];
    const spec = { backupName: 'unstamped', restoreMode: 'Full', preRestoreHooks };
    await createObject(story, restoreOf(SYSTEM_NAMESPACE, 'hooked', spec));
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdrestore/hooked');
    assert.equal(ended.phase, 'Failed', JSON.stringify(ended));
    assert.match(ended.message ?? '', new RegExp(`fails on ${cluster.name}: .* status 3: no good`));
    const marked = await readFile(join(cluster.root, 'root/hooked'), 'utf8');
    assert.equal(marked, `preRestore/marks on ${cluster.name}\n`);
  });

  test('helm uninstall leaves definitions, resources, keys and data', async () => {
    const story = told();
    const { cluster } = story;
    const before = await storedObjects(story);
    kept = await keptObjects(story);
    // Its last replica gives up the Lease when the right to do so has gone already.
    noteNoGrants(story, await cluster.auditLog());
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
    // The Lease of those that were removed ends by itself; whoever leads then makes the API server trust the webhook.
    await eventually('the webhook answers', () =>
      createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'again')).then(() => true),
    );
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
  const signing = '--output=jsonpath={.data}';
  const [definitions, resources, authority, key] = await Promise.all([
    cluster.kubectl('get', 'customresourcedefinitions', identity),
    cluster.kubectl('get', 'etcdbackups,etcdbackupschedules,etcdrestores', IN_SYSTEM, identity),
    cluster.kubectl('get', 'secret', AUTHORITY, IN_SYSTEM, '--output=jsonpath={.metadata.uid}'),
    cluster.kubectl('get', 'secret', 'etcdguardian-signing', IN_SYSTEM, signing),
  ]);
  return [definitions, resources, authority, key].join('\n');
}
