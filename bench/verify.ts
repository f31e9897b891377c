import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../test/harness/run-program.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { requireTool } from '../test/harness/tools.ts';
import { benchBytes } from './bench-etcd.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';
import { costLine, median, pairRatio, ratioLine, say } from './report.ts';
import { type RunCost, timedRun } from './timed-run.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const guardian = join(import.meta.dirname, '..', 'bin', 'etcdguardian');

/**
 * `etcdguardian snapshot verify` beside the three programs whose work it does: `openssl dgst -sha256`, `etcdutl
 * snapshot status`, `etcdutl hashkv`. Warm first, all of them in each round; then cold, from a disk, beside `snapshot
 * status` alone.
 */
export async function benchVerify(): Promise<void> {
  say('\nVerifying a snapshot file, beside openssl and etcdutl');
  // hashkv of etcd 3.6 panics on leases, which every Kubernetes database has; 3.7 computes the same.
  const [status, hashkv] = [requireTool('etcdutl', '3.6.16'), requireTool('etcdutl', '3.7.3')];
  await using disk = await temporaryFolder({ on: 'disk' });
  const file = disk.join('snapshot.db');
  const made = await writeKubernetesDatabase(file, { seed: 'bench', targetBytes: benchBytes() });
  say(`  file: ${(made.size / 1e9).toFixed(2)} GB, ${made.entries} entries`);

  const peers = {
    'openssl dgst -sha256': ['openssl', 'dgst', '-sha256', file],
    'etcdutl 3.6 snapshot status': [status, 'snapshot', 'status', file],
    // It writes to the file that it is given.
    'etcdutl 3.7 hashkv': [hashkv, 'hashkv', disk.join('copy.db')],
  };
  const verify = [guardian, 'snapshot', 'verify', file];
  await copyFile(file, disk.join('copy.db'));
  const rounds: { ours: RunCost; peers: RunCost[] }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const costs: RunCost[] = [];
    for (const command of Object.values(peers)) costs.push(await timedRun(command));
    rounds.push({ ours: await timedRun(verify), peers: costs });
  }
  rounds.shift(); // It warmed the file.
  const ours = rounds.map((round) => round.ours);
  for (const [index, name] of Object.keys(peers).entries()) {
    say(
      costLine(
        name,
        rounds.flatMap((round) => round.peers[index] ?? []),
      ),
    );
  }
  say(costLine('etcdguardian snapshot verify', ours));
  const ratio = (cost: (run: RunCost) => number): number =>
    pairRatio(
      ours.map(cost),
      rounds.map((round) => round.peers.reduce((sum, run) => sum + cost(run), 0)),
    );
  say(
    ratioLine(
      'CPU, of the sum of the three',
      ratio((run) => run.cpuSeconds),
      '≤ 0.5',
    ),
  );
  say(
    ratioLine(
      'wall, of the sum of the three',
      ratio((run) => run.wallSeconds),
      'none',
    ),
  );
  say(`  → peak RSS ${(median(ours.map((run) => run.peakBytes)) / 2 ** 20).toFixed(0)} MiB (goal ≤ 300 MiB)`);
  await rm(disk.join('copy.db'));
  await benchCold(file, peers['etcdutl 3.6 snapshot status'], verify);
}

async function benchCold(file: string, status: readonly string[], verify: readonly string[]): Promise<void> {
  say('\nThe same file, cold');
  const costs: { ours: RunCost[]; peer: RunCost[] } = { ours: [], peer: [] };
  for (let round = 0; round < Math.min(3, ROUNDS); round++) {
    await forget(file);
    costs.peer.push(await timedRun(status));
    await forget(file);
    costs.ours.push(await timedRun(verify));
  }
  say(costLine('etcdutl 3.6 snapshot status', costs.peer));
  say(costLine('etcdguardian snapshot verify', costs.ours));
  const wall = (runs: readonly RunCost[]): number[] => runs.map((run) => run.wallSeconds);
  say(ratioLine('wall, cold', pairRatio(wall(costs.ours), wall(costs.peer)), '≤ 1.0'));
}

/** Makes the kernel drop what it has cached of the file. */
async function forget(file: string): Promise<void> {
  await runProgram('dd', [`if=${file}`, 'of=/dev/null', 'iflag=nocache', 'count=0']);
}
