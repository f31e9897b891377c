import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startS3Server } from '../test/harness/s3.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { requireTool } from '../test/harness/tools.ts';
import { runProgram } from '../test/harness/run-program.ts';
import { benchBytes, etcdWithDatabase } from './bench-etcd.ts';
import { putLatency } from './put-latency.ts';
import { costLine, median, pairRatio, ratioLine, say } from './report.ts';
import { timedRun, type RunCost } from './timed-run.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const guardian = join(import.meta.dirname, '..', 'bin', 'etcdguardian');

/**
 * A whole backup (stream, sha256, verify, zstd, encrypt, S3 server, proof, manifest) beside `etcdctl snapshot save` of
 * the same etcd: alternating pairs, everything on a memory disk, so that disks don't decide. Then the same two while
 * a client writes.
 */
export async function benchBackup(): Promise<void> {
  say('\nWhole backup to an S3 server, beside etcdctl snapshot save');
  await using folder = await temporaryFolder();
  await using etcd = await etcdWithDatabase(folder, benchBytes());
  await using s3 = await startS3Server();
  const bucket = await s3.createBucket('bench');
  const keyFile = folder.join('guardian.key');
  await runProgram(guardian, [
    'keys',
    'create',
    '--label',
    'bench',
    '--out',
    keyFile,
    '--recovery-out',
    folder.join('r'),
  ]);
  const env = {
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    ETCDGUARDIAN_STATE_DIR: folder.join('state'),
  };
  const target = folder.join('saved.db');
  const save = [requireTool('etcdctl', etcd.version), '--endpoints', etcd.endpoint, '--command-timeout=10m'];
  const peer = async (): Promise<RunCost> => {
    await rm(target, { force: true });
    return timedRun([...save, 'snapshot', 'save', target]);
  };
  const ours = async (...options: readonly string[]): Promise<RunCost> => {
    await rm(join(s3.folder, bucket), { recursive: true, force: true });
    await s3.createBucket(bucket).catch(() => undefined);
    const store = ['--store', `s3://${bucket}/etcd`, '--s3-endpoint', s3.endpoint, '--key-file', keyFile];
    const from = ['--quiet', '--endpoints', etcd.endpoint];
    return timedRun([guardian, 'backup', 'create', ...from, ...store, ...options], env);
  };

  const costs: { ours: RunCost[]; peer: RunCost[] } = { ours: [], peer: [] };
  await peer();
  for (let round = 0; round < ROUNDS; round++) {
    costs.peer.push(await peer());
    costs.ours.push(await ours());
  }
  say(costLine('etcdctl snapshot save', costs.peer));
  say(costLine('etcdguardian backup create', costs.ours));
  const wall = (runs: readonly RunCost[]): number[] => runs.map((run) => run.wallSeconds);
  say(ratioLine('wall', pairRatio(wall(costs.ours), wall(costs.peer)), '≤ 1.0, aim 0.8'));
  const peak = Math.max(...costs.ours.map((run) => run.peakBytes)) / 2 ** 20;
  say(`  → peak RSS ${peak.toFixed(0)} MiB (goal ≤ 300 MiB)`);

  // The proof is shown by itself: etcd holds a member's writes while it answers HashKV, about 0.3 s for each GB, and here
  // the only member is asked; in a cluster it is a follower, which clients' writes don't wait for.
  say('\nPuts of 1 KB, 200 a second, while each of them runs');
  const during: Record<'peer' | 'unproven' | 'proven', number[]> = { peer: [], unproven: [], proven: [] };
  for (let round = 0; round < Math.min(3, ROUNDS); round++) {
    during.peer.push(await putLatency(etcd, peer));
    during.unproven.push(await putLatency(etcd, () => ours('--proof', 'off')));
    during.proven.push(await putLatency(etcd, () => ours()));
  }
  say(
    `  p99 during snapshot save ${median(during.peer).toFixed(1)} ms, during backup ${median(during.unproven).toFixed(1)} ms, with the proof by the only member ${median(during.proven).toFixed(1)} ms`,
  );
  say(ratioLine('p99', pairRatio(during.unproven, during.peer), '≤ 1.0'));
  say(
    ratioLine('p99 with the proof', pairRatio(during.proven, during.peer), 'none: etcd stands still for it'),
  );
}
