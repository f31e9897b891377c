import { Agent, request } from 'node:https';
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AdmissionScene,
  customResource,
  resourcePath,
  startAdmissionScene,
  TENANT_BACKUP,
} from '../test/harness/admission-scene.ts';
import { median, ratioLine, say } from './report.ts';

const PER_SECOND = Number(process.env.BENCH_ADMISSIONS ?? 200);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);

/**
 * What admission adds to `kubectl apply` of a tenant's backup at 200 requests per second, beside a real API server on the
 * same machine, with everything that the API server is asked for it. The peer: the same requests without the webhook.
 */
export async function benchAdmission(): Promise<void> {
  say(`admission: ${PER_SECOND} dry-run creations of a tenant's EtcdBackup per second for ${SECONDS} s each`);
  await using scene = await startAdmissionScene({ policies: false });
  await run(scene, 'warm-up', 3);
  const judged = await run(scene, 'judged', SECONDS);
  const inside = await webhookQuantiles(scene);
  await scene.removeWebhookConfigurations();
  const plain = await run(scene, 'plain', SECONDS);

  const line = (name: string, times: readonly number[]): string =>
    `  ${name.padEnd(28)} p50 ${quantile(times, 0.5).toFixed(1)} ms  p99 ${quantile(times, 0.99).toFixed(1)} ms  (${times.length} requests)`;
  say(line('with the webhook', judged));
  say(line('without it', plain));
  say(`  ${'of that the webhook’s own'.padEnd(28)} ${inside}`);
  const added = quantile(judged, 0.99) - quantile(plain, 0.99);
  say(
    `  added at p99: ${added.toFixed(1)} ms (goal 10), at p50: ${(median(judged) - median(plain)).toFixed(1)} ms`,
  );
  say(`  load of the machine meanwhile: ${(loadavg()[0] ?? Number.NaN).toFixed(1)}`);
  say(
    ratioLine(
      'p99 with admission ÷ without',
      quantile(judged, 0.99) / quantile(plain, 0.99),
      'as small as may be',
    ),
  );
}

/** Open loop: a request is sent when it is due, however the earlier ones fare; milliseconds of each, from when it was due. */
async function run(scene: AdmissionScene, name: string, seconds: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, ca: scene.kube.authority.certificate });
  const token = scene.kube.token('alice');
  const times: number[] = [];
  const all: Promise<void>[] = [];
  let failed = 0;
  const began = performance.now();
  for (let at = 0; at < PER_SECOND * seconds; at += 1) {
    const due = began + (at * 1000) / PER_SECOND;
    const wait = due - performance.now();
    if (wait > 0) await delay(wait);
    all.push(
      create(scene.kube.url, agent, token, `${name}-${at}`).then((isMade) => {
        if (isMade) times.push(performance.now() - due);
        else failed += 1;
      }),
    );
  }
  await Promise.all(all);
  agent.destroy();
  // 429: the API server sheds load.
  if (failed > 0)
    say(`  ${name}: ${failed} of ${all.length} requests failed; the machine is too busy for this rate`);
  return times;
}

function create(url: string, agent: Agent, token: string, name: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const path = `${resourcePath('etcdbackups', 'team-a')}?dryRun=All`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const sent = request(new URL(path, url), { method: 'POST', agent, headers }, (response) => {
    response.resume().once('end', () => {
      resolve(response.statusCode === 201);
    });
  });
  sent.on('error', reject);
  sent.end(JSON.stringify(customResource('EtcdBackup', name, TENANT_BACKUP)));
  return promise;
}

/** From its histogram: the bound below which 50 % and 99 % of the answers of the validating hook were. */
async function webhookQuantiles({ pages }: AdmissionScene): Promise<string> {
  const text = await (await fetch(`${pages}/metrics`)).text();
  const buckets = [
    ...text.matchAll(/admission_duration_seconds_bucket\{le="([^"]+)",hook="validate"\} (\d+)/g),
  ].map(([, bound = '', count]) => ({ bound, count: Number(count) }));
  const total = buckets.at(-1)?.count ?? 0;
  const below = (share: number): string => buckets.find(({ count }) => count >= share * total)?.bound ?? '?';
  return `p50 ≤ ${below(0.5)} s  p99 ≤ ${below(0.99)} s`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
