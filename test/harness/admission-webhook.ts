import { join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { LogLines } from '../../lib/log-lines.ts';
import { runWebhook } from '../../webhook/main.ts';
import { webhookSettings } from '../../webhook/settings.ts';
import { startProcess } from './server-process.ts';

/** A running admission webhook of this program. */
export interface AdmissionWebhook extends AsyncDisposable {
  /** Where it answers reviews, and where its pages are. */
  readonly hooks: number;
  readonly pages: number;
  readonly pid: number;
  /** The lines of its log, parsed; none of a process of its own. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly stop: () => Promise<void>;
}

type Env = Readonly<Record<string, string>>;

/** Starts one in this process; with flags for Node, even none, as a process of its own. */
export async function startWebhook(env: Env, node?: readonly string[]): Promise<AdmissionWebhook> {
  return node === undefined ? await startHere(env) : await startApart(env, node);
}

async function startHere(env: Env): Promise<AdmissionWebhook> {
  const log: Readonly<Record<string, unknown>>[] = [];
  const lines = { write: (text: string) => log.push(JSON.parse(text) as Record<string, unknown>) };
  const stopped = new AbortController();
  const listening = Promise.withResolvers<{ readonly hooks: number; readonly pages: number }>();
  const running = runWebhook(webhookSettings(env), {
    log: new LogLines(lines, systemClock, 'json'),
    ...{ clock: systemClock, signal: stopped.signal, lookMs: 50, onListening: listening.resolve },
  });
  const stop = async (): Promise<void> => {
    stopped.abort();
    await running;
  };
  const ports = await Promise.race([listening.promise, running.then(() => undefined)]);
  if (ports === undefined) throw new Error('the webhook ended');
  return { ...ports, pid: process.pid, log, stop, [Symbol.asyncDispose]: stop };
}

async function startApart(env: Env, node: readonly string[]): Promise<AdmissionWebhook> {
  const webhook = await startProcess(process.execPath, [...node, PROGRAM, 'webhook'], {
    env: { ...process.env, ...env },
  });
  const line = await webhook.line(/"event":"listening"/);
  const [hooks, pages] = /on port (\d+), pages on port (\d+)/.exec(line)?.slice(1).map(Number) ?? [];
  if (hooks === undefined || pages === undefined) throw new Error(`the webhook says no ports: ${line}`);
  const stop = (): Promise<void> => webhook.stop();
  return { hooks, pages, pid: webhook.pid, log: [], stop, [Symbol.asyncDispose]: stop };
}

const PROGRAM = join(import.meta.dirname, '..', '..', 'cli', 'main.ts');
