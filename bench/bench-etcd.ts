import { rm } from 'node:fs/promises';
import { writeMemberDir } from '../lib/etcd/datadir/member-dir.ts';
import { startEtcd, type Etcd } from '../test/harness/etcd.ts';
import type { TemporaryFolder } from '../test/harness/temporary-folder.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';
import { say } from './report.ts';

/** Bytes of the database that benchmarks run on; `BENCH_BYTES` sets it. */
export function benchBytes(): number {
  return Number(process.env.BENCH_BYTES ?? 2_500_000_000);
}

/** An etcd that serves a made Kubernetes database of `bytes`, from `folder`. */
export async function etcdWithDatabase(folder: TemporaryFolder, bytes: number): Promise<Etcd> {
  const file = folder.join('made.db');
  const dataDir = folder.join('data');
  const made = await writeKubernetesDatabase(file, { seed: 'bench', targetBytes: bytes });
  await writeMemberDir({
    dataDir,
    snapshot: { file },
    name: 'default',
    cluster: { token: 'bench', members: [{ name: 'default', peerUrls: ['http://127.0.0.1:2380'] }] },
  });
  await rm(file);
  say(`database: ${(bytes / 1e9).toFixed(1)} GB, ${made.liveKeys} live keys, revision ${made.revision}`);
  return startEtcd({ dataDir, args: ['--quota-backend-bytes=17179869184'], deadlineMs: 120_000 });
}
