import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type AdmissionScene,
  startAdmissionScene,
  WEBHOOK_ACCOUNT,
} from '../test/harness/admission-scene.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import type { ClientTask } from './admission-client.ts';
import { cpuSeconds } from './cpu-time.ts';
import type { LoopResult } from './open-loop.ts';
import { ratioLine, say } from './report.ts';

const RATES = (process.env.BENCH_ADMISSIONS ?? '25,50,100,200').split(',').map(Number);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);
/** As the program is started (bin/), and what else is to be measured with, e.g. `--cpu-prof`. */
const NODE_FLAGS = (process.env.BENCH_NODE_FLAGS ?? '--max-semi-space-size=1 --no-incremental-marking').split(
  ' ',
);

/**
 * What admission costs, beside a real API server on the same machine, with everything that the API server is asked for
 * it: API server, etcd, webhook and client are processes of their own. The peers: the same requests without the webhook, and
 * the same reviews, as many, by a client that costs nearly nothing, which is as good as it can get.
 */
export async function benchAdmission(): Promise<void> {
  say(`admission: dry-run creations of a tenant's EtcdBackup, for ${SECONDS} s at each rate`);
  await using scene = await startAdmissionScene({
    ...{ policies: false, node: NODE_FLAGS },
    // One requester here stands for many.
    env: { ETCDGUARDIAN_REQUESTER_QUESTIONS: '100000', ETCDGUARDIAN_MAX_IN_FLIGHT: '4096' },
  });
  await run(scene, 'creations', 50, 5);
  for (const rate of RATES) tell('with the webhook', rate, await run(scene, 'creations', rate));
  const judged = await run(scene, 'creations', LAST);
  const reviews = await run(scene, 'reviews', LAST);
  tell('its reviews alone', LAST, reviews);
  await scene.removeWebhookConfigurations();
  const plain = await run(scene, 'creations', LAST);
  tell('without the webhook', LAST, plain);
  say(
    `  added at p99: ${(quantile(judged.times, 0.99) - quantile(plain.times, 0.99)).toFixed(1)} ms at ${LAST}/s (goal 10)`,
  );
  say(`  load of the machine meanwhile: ${(loadavg()[0] ?? Number.NaN).toFixed(1)}`);
  const [added, least] = [total(judged) - total(plain), total(reviews)];
  say(ratioLine('CPU that admission adds ÷ that of its reviews by the leanest client', added / least, '≤ 2'));
}

const LAST = RATES.at(-1) ?? 200;

interface Cost extends LoopResult {
  /** Milliseconds of CPU for each request. */
  readonly cpu: { readonly apiServer: number; readonly webhook: number; readonly client: number };
}

async function run(
  scene: AdmissionScene,
  what: ClientTask['what'],
  perSecond: number,
  seconds = SECONDS,
): Promise<Cost> {
  await using folder = await temporaryFolder();
  const { kube } = scene;
  const token = kube.token(what === 'creations' ? 'alice' : WEBHOOK_ACCOUNT);
  const task: ClientTask = {
    ...{ url: kube.url, ca: kube.authority.certificate, token, what, perSecond, seconds },
    name: `${what}-${perSecond}`,
  };
  await writeFile(folder.join('task'), JSON.stringify(task), { mode: 0o600 });
  const used = async (): Promise<[number, number]> => [
    await cpuSeconds(kube.pid),
    await cpuSeconds(scene.webhook),
  ];
  const before = await used();
  const { stdout } = await promisify(execFile)(process.execPath, [CLIENT, folder.join('task')], {
    maxBuffer: 2 ** 26,
  });
  const after = await used();
  const result = JSON.parse(stdout) as LoopResult & { readonly cpuSeconds: number };
  const each = (cpu: number): number => (cpu * 1000) / (perSecond * seconds);
  return {
    ...result,
    cpu: {
      apiServer: each(after[0] - before[0]),
      webhook: each(after[1] - before[1]),
      client: each(result.cpuSeconds),
    },
  };
}

const CLIENT = join(import.meta.dirname, 'admission-client.ts');

function tell(name: string, rate: number, { times, failed, cpu }: Cost): void {
  const at = [0.5, 0.9, 0.99]
    .map((share) => `p${share * 100} ${quantile(times, share).toFixed(1)}`)
    .join('  ');
  say(
    `  ${name.padEnd(20)} ${String(rate).padStart(4)}/s  ${at} ms   CPU each: API server ${cpu.apiServer.toFixed(2)}, ` +
      `webhook ${cpu.webhook.toFixed(2)}, client ${cpu.client.toFixed(2)} ms${failed === 0 ? '' : `  (${failed} failed)`}`,
  );
}

function total({ cpu }: Cost): number {
  return cpu.apiServer + cpu.webhook;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
