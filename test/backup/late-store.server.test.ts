import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fullBackup } from '../../lib/backup/full-backup.ts';
import { spoolingStore } from '../../lib/backup/spooling-store.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { openEphemeralFile } from '../../lib/encryption/ephemeral-file.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { openStore } from '../../lib/storage/open-store.ts';
import { parseStoreUrl } from '../../lib/storage/store-url.ts';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { repositorySettings } from '../harness/repository.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

test(
  'what a store finishes putting after the backup failed is tidied up as well',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await putOne(etcd, 'a', 'b');
    await using client = connectEtcd({ endpoints: [etcd.endpoint], connectTimeoutMs: 5000 });
    const store = await openStore(parseStoreUrl(`file://${folder.join('store')}`));
    const spooled = spoolingStore(putsLate(store), {
      ...{ memoryBytes: 1 << 20, spillBytes: 0, spillFileBytes: 1 << 20 },
      openSpill: () => openEphemeralFile(folder.path),
    });
    const repository = await openRepository(repositorySettings(spooled));

    const unproven = fullBackup(
      {
        ...{ cluster: 'prod', streamLimitMs: 60_000, attempts: 1 },
        proof: { mode: 'required', budgetBytes: 0 },
      },
      { client, repository, clock: () => new Date(), onEvent: () => undefined },
    );
    await assert.rejects(unproven, { code: 'backup.unproven' });

    const bases: string[] = [];
    for await (const { name } of store.list('')) if (name.includes('/chains/')) bases.push(name);
    assert.deepEqual(bases, []);
  },
);

/** A store that can't be stopped once it has all bytes, as one whose last answer is under way. */
function putsLate(store: ObjectStore): ObjectStore {
  return {
    location: store.location,
    put: async (name, body, options) => {
      const put = await store.put(name, body, { ...options, signal: undefined });
      await delay(500);
      return put;
    },
    putIfAbsent: (name, body, options) => store.putIfAbsent(name, body, options),
    get: (name, options) => store.get(name, options),
    stat: (name, options) => store.stat(name, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (name, options) => store.delete(name, options),
    sweepStaleUploads: (olderThan, options) => store.sweepStaleUploads(olderThan, options),
  };
}
