import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../lib/clock.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type JournalEntry, openJournal } from '../../lib/restore/cluster/journal.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { memberData } from './member-data.ts';
import { MemberRestore } from './member-restore.ts';
import type { NodeService } from './node-service.ts';

/** Real folders and a real journal; an etcd that never serves stands for one whose old data is broken. */
test('a way back that a person ends keeps old and restored data, and stops etcd once only', async () => {
  await using folder = await temporaryFolder();
  const dataDir = folder.join('etcd');
  const own = join(dataDir, '.etcdguardian', 'r1');
  for (const [dir, text] of [
    [join(own, 'previous', 'member'), 'old'],
    [join(dataDir, 'member'), 'restored'],
  ] as const) {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'data'), text);
  }
  const said: string[] = [];
  let nowMs = 0;
  const service = (label: string): NodeService => ({
    label,
    stop: () => Promise.resolve(void said.push(`stop ${label}`)),
    // As a unit of systemd, which takes a moment.
    start: async (deadline) => {
      said.push(`start ${label}`);
      await Promise.resolve();
      if (deadline.leftMs() === 0) throw new GuardianError('restore.service', `${label}: no time was left`);
    },
    isStopped: () => Promise.resolve(true),
  });
  const journal = await openJournal(folder.join('restores'));
  await journal.write(swapped(dataDir));
  const silence = new GuardianError('restore.not-serving', 'it has no leader');
  const restore = new MemberRestore('r1', {
    ...{ journal, clock: systemClock, nowMs: () => nowMs, signal: new AbortController().signal },
    services: () => ({ etcd: service('etcd'), apiServers: [service('API server')] }),
    data: {
      ...memberData,
      untilServing: (_entry, deadline) => {
        nowMs += deadline.leftMs();
        return Promise.reject(silence);
      },
    },
  });
  for (const stops of [['stop etcd'], []]) {
    said.length = 0;
    await assert.rejects(restore.rollBack(undefined), silence);
    assert.deepEqual(said, [...stops, 'start etcd', 'start API server']);
    assert.match(journal.find('r1')?.message ?? '', /doesn't work yet: it has no leader/);
  }
  const { state, message } = await restore.rollBack(undefined, 'root@cp1 decided it');
  assert.equal(state, 'RolledBack');
  assert.match(message, /^root@cp1 decided it: .* it has no leader/);
  assert.ok(message.includes(own), message);
  const texts = [join(dataDir, 'member'), join(own, 'discarded')].map((dir) =>
    readFile(join(dir, 'data'), 'utf8'),
  );
  assert.deepEqual(await Promise.all(texts), ['old', 'restored']);
});

function swapped(dataDir: string): JournalEntry {
  return {
    ...{ format: 1, operation: 'r1', term: 1n, state: 'Started', furthest: 'Started', sinceMs: 0 },
    ...{ message: '', subject: '', deadlineMs: 0 },
    plan: {
      ...{ cluster: 'c', timeline: 't', chain: 'x', revision: 1n, token: 't', bumpTo: 2n, quiesce: true },
      members: [],
    },
    etcd: {
      ...{ runsAs: 'STATIC_POD', runsFrom: '/m/etcd.yaml', name: '', dataDir, walDir: '' },
      ...{ endpoints: [], apiServers: ['/m/api.yaml'] },
    },
  };
}
