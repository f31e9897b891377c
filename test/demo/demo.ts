import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { writeKubernetesDatabase } from '../../bench/kubernetes-database.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { writeMemberDir } from '../../lib/etcd/datadir/member-dir.ts';
import { startEtcd, type Etcd } from '../harness/etcd.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { changeOn, deleteNamespace } from './cluster-life.ts';
import { etcdguardian, narrator, startEtcdguardian } from './narrator.ts';

/**
 * The main job on real servers: a cluster's etcd is captured while it changes, a mistake is found and undone, and in the
 * end all of it is lost and brought back. Everything happens in a temporary folder and on loopback, and is gone at the
 * end.
 */
async function demo(): Promise<void> {
  await using folder = await temporaryFolder();
  const store = `file://${folder.join('bucket')}`;
  const keyFile = folder.join('guardian.key');
  const dataDir = folder.join('etcd');

  narrator.chapter('A cluster: a real etcd 3.6 holding a Kubernetes control plane');
  await makeControlPlane(dataDir, folder.join('made.db'));
  await using etcd = await startEtcd({ dataDir });
  const { keys, revision } = await factsOf(etcd);
  narrator.say(`etcd serves ${keys} keys at revision ${revision}`);

  narrator.chapter('Keys: one for this machine, one for the safe');
  const recoveryFile = folder.join('recovery.pem');
  await etcdguardian(['keys', 'create', '--label', 'demo', '--out', keyFile, '--recovery-out', recoveryFile]);

  narrator.chapter('A backup: streamed, verified as it passes, encrypted, proven against the live member');
  const stored = ['--store', store, '--key-file', keyFile];
  const live = ['--endpoints', etcd.endpoint];
  await etcdguardian(['backup', 'create', ...live, ...stored]);

  narrator.chapter('Capture: from here on every change is kept as it happens');
  await using capture = startEtcdguardian([
    ...['capture', 'run', '--seal-interval', '500ms', ...live, ...stored],
  ]);
  await capture.said(/extending chain/);
  await changeOn(etcd);
  const good = await factsOf(etcd);
  narrator.say(`the cluster lives on: revision ${good.revision}, HashKV ${good.hash}, ${good.keys} keys`);

  narrator.chapter('The mistake: somebody deletes a namespace, and work goes on');
  const { namespace, keys: gone, secret } = await deleteNamespace(etcd);
  narrator.say(`namespace ${namespace} is gone with its ${gone} keys`);
  await changeOn(etcd);
  await etcdguardian(['capture', 'status', ...live, ...stored]);

  narrator.chapter('What can be restored? When did it happen?');
  await etcdguardian(['points', 'list', ...stored]);
  await etcdguardian(['history', 'get', secret, ...stored]);
  const history = historySchema.parse(
    JSON.parse(await etcdguardian(['history', 'get', secret, ...stored, '-o', 'json'], { show: 'nothing' })),
  );
  const before = BigInt(history.versions.at(-1)?.revision ?? 0) - 1n;

  narrator.chapter('The worst night on top of it: etcd is killed and its data dir is gone');
  await capture.stop();
  await etcd.kill('SIGKILL');
  await rm(dataDir, { recursive: true });
  narrator.say(`rm -rf ${dataDir}`);

  narrator.chapter('The restore: from the bucket to a data dir, as it was the moment before the mistake');
  const restoredDir = folder.join('etcd-restored');
  const restore = [
    ...['restore', ...stored, '--to-revision', before.toString(), '--data-dir', restoredDir],
    ...['--initial-cluster', `default=${etcd.peerUrl}`],
  ];
  const restored = restoredSchema.parse(
    JSON.parse(await etcdguardian([...restore, '--output', 'json'], { show: 'command' })),
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
    ['revision before the mistake', good.revision, before],
    ['keys, those of the namespace among them', good.keys, found.keys],
    ['HashKV that the cluster had before the mistake', good.hash, restored.snapshot.hashKV],
    ['HashKV that was foretold for the new cluster', restored.hashKV, found.hash],
  ];
  for (const [what, expected, seen] of checks) {
    narrator.say(
      `  ${expected === seen ? 'equal' : 'DIFFERENT'}: ${what}: ${String(expected)} and ${String(seen)}`,
    );
  }
  if (checks.some(([, expected, seen]) => expected !== seen)) throw new Error('the restored cluster differs');
  narrator.say('\nNothing was lost but the mistake. Next: README.md, "By hand".');
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

const historySchema = z.object({ versions: z.array(z.object({ revision: z.string() })) });

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
