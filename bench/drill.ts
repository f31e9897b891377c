import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../test/harness/run-program.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { requireTool } from '../test/harness/tools.ts';
import { etcdWithDatabase } from './bench-etcd.ts';
import { costLine, median, pairRatio, ratioLine, say } from './report.ts';
import { timedRun, type RunCost } from './timed-run.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const BYTES = Number(process.env.BENCH_BYTES ?? 2e9);
const guardian = join(import.meta.dirname, '..', 'bin', 'etcdguardian');

/**
 * A whole drill (fetch, decrypt, decompress, verify, write, start etcd, HashKV, counts) out of a local store, beside
 * `etcdutl snapshot restore` of the same database, which starts nothing: alternating pairs, on a memory disk, so that
 * disks don't decide.
 */
export async function benchDrill(): Promise<void> {
  say('\nDrill of a backup, beside etcdutl snapshot restore of the same database');
  await using folder = await temporaryFolder();
  const [store, snapshot, keyFile] = [folder.join('store'), folder.join('saved.db'), folder.join('key')];
  const keys = ['keys', 'create', '--label', 'bench', '--out', keyFile, '--recovery-out', folder.join('r')];
  await runProgram(guardian, keys);
  const from = ['--store', `file://${store}`, '--cluster', 'bench', '--key-file', keyFile, '--quiet'];
  const env = { ETCDGUARDIAN_STATE_DIR: folder.join('state') };
  let version: string;
  {
    await using etcd = await etcdWithDatabase(folder, BYTES);
    version = etcd.version;
    const etcdctl = [requireTool('etcdctl', version), '--endpoints', etcd.endpoint, '--command-timeout=10m'];
    await timedRun([...etcdctl, 'snapshot', 'save', snapshot]);
    await timedRun([guardian, 'backup', 'create', '--endpoints', etcd.endpoint, ...from], env);
  }
  const dataDir = folder.join('restored');
  const restore = [requireTool('etcdutl', version), 'snapshot', 'restore', snapshot, '--data-dir', dataDir];
  const drill = [guardian, 'drill', 'run', ...from, '--etcd', requireTool('etcd', version)];
  const costs: { ours: RunCost[]; peer: RunCost[] } = { ours: [], peer: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    costs.peer.push(await timedRun(restore));
    await rm(dataDir, { recursive: true });
    costs.ours.push(await timedRun([...drill, '--work-dir', folder.join('work')], env));
  }
  for (const runs of [costs.ours, costs.peer]) runs.shift(); // They warmed the files.
  say(costLine('etcdutl snapshot restore', costs.peer));
  say(costLine('drill', costs.ours));
  const walls = (runs: readonly RunCost[]): number[] => runs.map((run) => run.wallSeconds);
  say(ratioLine('wall', pairRatio(walls(costs.ours), walls(costs.peer)), '≤ 2'));
  const peak = median(costs.ours.map((run) => run.peakBytes)) / 2 ** 20;
  say(`  → peak RSS of the drill's own process ${peak.toFixed(0)} MiB`);
}
