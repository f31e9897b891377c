import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { writeKubernetesDatabase } from '../../bench/kubernetes-database.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { writeMemberDir } from '../../lib/etcd/datadir/member-dir.ts';
import { startEtcd, type Etcd } from '../harness/etcd.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { etcdguardian, narrator } from './narrator.ts';

/**
 * The main job on real servers: a cluster's etcd is backed up, proven, lost, and brought back. Everything happens in a
 * temporary folder and on loopback, and is gone at the end.
 */
async function demo(): Promise<void> {
  await using folder = await temporaryFolder();
  const store = `file://${folder.join('bucket')}`;
  const keyFile = folder.join('guardian.key');
  const recoveryFile = folder.join('recovery.pem');
  const dataDir = folder.join('etcd');
  const restoredDir = folder.join('etcd-restored');

  narrator.chapter('A cluster: a real etcd 3.6 holding a Kubernetes control plane');
  await makeControlPlane(dataDir, folder.join('made.db'));
  const before = await startEtcd({ dataDir });
  const lost = await factsOf(before);
  narrator.say(
    `etcd serves ${lost.keys} keys at revision ${lost.revision}; HashKV of its data: ${lost.hash}`,
  );

  narrator.chapter('Keys: one for this machine, one for the safe');
  await etcdguardian(['keys', 'create', '--label', 'demo', '--out', keyFile, '--recovery-out', recoveryFile]);

  narrator.chapter('A backup: streamed, verified as it passes, encrypted, proven against the live member');
  const storeArgs = ['--store', store, '--key-file', keyFile];
  await etcdguardian(['backup', 'create', '--endpoints', before.endpoint, ...storeArgs]);
  await etcdguardian(['backup', 'list', ...storeArgs]);

  narrator.chapter('Would it restore? Every page, record and figure, from the store');
  await etcdguardian(['backup', 'verify', 'latest', '--deep', ...storeArgs]);

  narrator.chapter('The worst night: etcd is killed and its data dir is gone');
  await before.kill('SIGKILL');
  await rm(dataDir, { recursive: true });
  narrator.say(`rm -rf ${dataDir}`);

  narrator.chapter('The restore: from the bucket to a data dir, read back before it counts');
  const restored = restoredSchema.parse(
    JSON.parse(
      await etcdguardian(
        [
          ...['restore', ...storeArgs, '--backup', 'latest', '--data-dir', restoredDir],
          ...['--initial-cluster', `default=${before.peerUrl}`, '--output', 'json'],
        ],
        { show: 'command' },
      ),
    ),
  );
  narrator.say(
    `  revision ${restored.snapshot.currentRevision} of the lost cluster, HashKV ${restored.snapshot.hashKV}, is back;\n` +
      `  the new cluster starts at revision ${restored.revision}, so that no watcher mistakes new for old;\n` +
      `  every member must now answer HashKV ${restored.hashKV}`,
  );

  narrator.chapter('etcd starts on it');
  await using after = await startEtcd({ dataDir: restoredDir });
  const found = await factsOf(after);
  const checks: readonly (readonly [string, unknown, unknown])[] = [
    ['keys', lost.keys, found.keys],
    ['HashKV that was backed up', lost.hash, restored.snapshot.hashKV],
    ['HashKV that was foretold for the new cluster', restored.hashKV, found.hash],
  ];
  for (const [what, expected, seen] of checks) {
    narrator.say(
      `  ${expected === seen ? 'equal' : 'DIFFERENT'}: ${what}: ${String(expected)} and ${String(seen)}`,
    );
  }
  if (checks.some(([, expected, seen]) => expected !== seen)) throw new Error('the restored cluster differs');
  narrator.say('\nNothing was lost. Next: README.md, "Your own cluster".');
}

/** A data dir as a control plane of some months leaves it: 100 MB of pods, secrets, events, leases and their history. */
async function makeControlPlane(dataDir: string, file: string): Promise<void> {
  await writeKubernetesDatabase(file, { seed: 1, targetBytes: 100_000_000 });
  await writeMemberDir({
    dataDir,
    snapshot: { file },
    name: 'default',
    cluster: { token: 'demo', members: [{ name: 'default', peerUrls: ['http://127.0.0.1:2380'] }] },
  });
  await rm(file);
}

const restoredSchema = z.object({
  revision: z.string(),
  hashKV: z.number(),
  snapshot: z.object({ currentRevision: z.string(), hashKV: z.number() }),
});

async function factsOf(etcd: Etcd): Promise<{ keys: number; revision: bigint; hash: number }> {
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  const all = await client.range('\0', { rangeEnd: '\0', countOnly: true });
  const { hash } = await client.hashKV(etcd.endpoint, 0n);
  return { keys: Number(all.count), revision: all.header.revision, hash };
}

await demo();
