import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { agentSettings } from '../settings.ts';
import { type LocalEtcd, localEtcd } from './local-etcd.ts';

const manifest = (port: number): string => `apiVersion: v1
kind: Pod
metadata: { name: etcd }
spec:
  containers:
    - name: etcd
      command: [etcd, '--data-dir=/var/lib/etcd', '--listen-client-urls=http://127.0.0.1:${port}']
`;

test('whoever is told that etcd has moved may ask where it is now', async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.join('manifests'));
  const path = folder.join('manifests', 'etcd.yaml');
  await writeFile(path, manifest(2379));
  const told: string[] = [];
  const asking: { etcd?: LocalEtcd } = {};
  const done = Promise.withResolvers<undefined>();
  await using etcd = localEtcd(
    agentSettings({
      ETCDGUARDIAN_NODE: 'n',
      ETCDGUARDIAN_MANIFESTS_DIR: folder.join('manifests'),
      ETCDGUARDIAN_UNIT_DIRS: folder.join('units'),
      ETCDGUARDIAN_K3S_DIR: folder.join('k3s'),
    }),
    async (from) => {
      // As a capture does that is just starting, and is waited for.
      const now = await asking.etcd?.current();
      told.push(...from.client.endpoints, ...(now?.place.client.endpoints ?? []));
      done.resolve(undefined);
    },
  );
  asking.etcd = etcd;
  const before = await etcd.current();
  assert.equal(await etcd.current(), before);
  await writeFile(path, manifest(12379));
  assert.deepEqual((await etcd.current()).place.client.endpoints, ['http://127.0.0.1:12379']);
  await done.promise;
  assert.deepEqual(told, ['http://127.0.0.1:2379', 'http://127.0.0.1:12379']);
});
