import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer } from '../harness/guardian-answers.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { rolledOut, SYSTEM_NAMESPACE } from './helm.ts';
import { noteGrants, noteNoGrants } from './permissions-are-used.ts';
import { applyObjects } from './pods.ts';
import { backupOf, createObject, endOf, restoreOf, type Story, storageLocation } from './story.ts';

const IN_SYSTEM = `--namespace=${SYSTEM_NAMESPACE}`;

/** A backup that knows nothing of any installation, and at the end of the story the way back to it. */
export function beforeTheInstallation(told: () => Story): { backedUp(): void; wentBack(): void } {
  let made: { readonly location: string; readonly keyFile: string } | undefined;

  return {
    backedUp() {
      test('a backup is made by hand, straight from etcd, before anything is installed', async () => {
        const { cluster, s3 } = told();
        await using folder = await temporaryFolder();
        await cluster.kubectl('create', 'namespace', 'older');
        const cli = guardianCli(folder);
        const key = folder.join('guardian.key');
        const recovery = ['--recovery-out', folder.join('recovery.pem')];
        const { status, stderr } = await cli.run([
          'keys',
          'create',
          '--label',
          'hand',
          '--out',
          key,
          ...recovery,
        ]);
        assert.equal(status, 0, stderr);
        const pki = join(cluster.root, 'etc/kubernetes/pki/etcd');
        const { location } = await cli.json(backupAnswer, [
          ...['backup', 'create', '--endpoints', `https://${cluster.nodeAddress}:2379`],
          ...['--cacert', join(pki, 'ca.crt')],
          ...['--cert', join(pki, 'healthcheck-client.crt'), '--key', join(pki, 'healthcheck-client.key')],
          ...[...s3StoreOptions(s3, 'backups/by-hand'), '--key-file', key],
        ]);
        made = { location, keyFile: await readFile(key, 'utf8') };
      });
    },

    wentBack() {
      test('the cluster goes back to before the installation, which runs on', async (t) => {
        const story = told();
        const { cluster } = story;
        assert.ok(made !== undefined, 'there is a backup');
        await cluster.kubectl('create', 'namespace', 'newer');
        const key = {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { namespace: SYSTEM_NAMESPACE, name: 'by-hand' },
        };
        await applyObjects(cluster, { ...key, stringData: { 'keys.json': made.keyFile } });
        const pods = await ourPods(story);
        const began = performance.now();
        await createObject(
          story,
          restoreOf(SYSTEM_NAMESPACE, 'to-before', {
            ...{ snapshotLocation: made.location, restoreMode: 'Full' },
            storageLocation: { ...storageLocation(story), prefix: 'by-hand' },
            encryption: { enabled: true, encryptionSecret: 'by-hand' },
          }),
        );
        await eventually('the API server is away', () => isAway(cluster), 120_000);
        // One that begins to serve refuses whatever it hasn't read the rights for yet.
        noteNoGrants(story, await cluster.auditLog());
        const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdrestore/to-before');
        await noteGrants(story);
        t.diagnostic(`the restore took ${((performance.now() - began) / 1000).toFixed(0)} s`);
        assert.equal(ended.phase, 'Completed', JSON.stringify(ended));

        const namespaces = await cluster.kubectl('get', 'namespaces', '--output=name');
        for (const name of ['older', 'kube-system', SYSTEM_NAMESPACE])
          assert.match(namespaces, new RegExp(`^namespace/${name}$`, 'm'));
        assert.doesNotMatch(namespaces, /namespace\/(newer|team-a|shop)$/m);
        await rolledOut(cluster);
        assert.deepEqual(await ourPods(story), pods);
      });

      test('agent, control plane and webhook work as before', async () => {
        const story = told();
        await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'on-top'));
        const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/on-top');
        assert.equal(ended.phase, 'Completed', ended.message ?? '');
        const by = ['etcdbackup/on-top', IN_SYSTEM, '--output=jsonpath={.spec.requestedBy.username}'];
        assert.equal(await story.cluster.kubectl('get', ...by), 'kubernetes-admin', 'the webhook stamps');
      });
    },
  };
}

async function isAway(cluster: Cluster): Promise<boolean> {
  return await cluster.kubectl('get', '--raw=/readyz', '--request-timeout=1s').then(
    () => false,
    () => true,
  );
}

/** Which they are, and how often they were started. */
async function ourPods({ cluster }: Story): Promise<string[]> {
  const fields = '{.metadata.name} {.metadata.uid} {.status.containerStatuses[*].containerID}{"\\n"}';
  const output = `--output=jsonpath={range .items[*]}${fields}{end}`;
  return (await cluster.kubectl('get', 'pods', IN_SYSTEM, '--selector=app.kubernetes.io/component', output))
    .trim()
    .split('\n')
    .sort();
}
