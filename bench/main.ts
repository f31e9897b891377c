import { availableParallelism, totalmem } from 'node:os';
import { benchAdmission } from './admission.ts';
import { benchBackup } from './backup.ts';
import { benchCapture } from './capture.ts';
import { benchDrill } from './drill.ts';
import { benchMerge } from './merge.ts';
import { say } from './report.ts';
import { benchRestoreDowntime } from './restore-downtime.ts';
import { benchStoredSize } from './stored-size.ts';
import { benchVerify } from './verify.ts';

/** All benchmarks, or the ones named: `node bench/main.ts backup`. `BENCH_BYTES` and `BENCH_ROUNDS` set their size. */
const benchmarks: Readonly<Record<string, () => Promise<void>>> = {
  verify: benchVerify,
  size: benchStoredSize,
  backup: benchBackup,
  capture: benchCapture,
  merge: benchMerge,
  drill: benchDrill,
  admission: benchAdmission,
  downtime: benchRestoreDowntime,
};

say(
  `${availableParallelism()} processors, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`,
);
const asked = process.argv.slice(2);
for (const name of asked.length > 0 ? asked : Object.keys(benchmarks)) {
  const benchmark = benchmarks[name];
  if (benchmark === undefined)
    throw new Error(`no benchmark "${name}": ${Object.keys(benchmarks).join(', ')}`);
  await benchmark();
}
