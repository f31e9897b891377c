import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import type { Controller } from './controller.ts';
import { backOffMs, KEY_QUEUE_LIMITS, keyQueue, type KeyQueueLimits, type WorkQueue } from './key-queue.ts';
import type { ControlPlaneMetrics } from './metrics.ts';
import { RepeatedFailures } from './repeated-failures.ts';
import { systemTiming, type Timing } from './timing.ts';

export interface RunControllersTools {
  readonly log: LogLines;
  readonly metrics: ControlPlaneMetrics;
  readonly random?: (() => number) | undefined;
  readonly timing?: Timing | undefined;
  readonly limits?: KeyQueueLimits | undefined;
  /** A step that runs for longer is told, once. Default 10 min. */
  readonly stuckAfterMs?: number | undefined;
  /** How long steps may go on after the signal. Default 4 s: less than others wait for a Lease that was lost. */
  readonly drainMs?: ((reason: unknown) => number) | undefined;
}

/**
 * Runs controllers until the signal, which ends leadership; resolves when every step has ended. Whatever a controller
 * throws is told once and tried again with back-off: nothing ends but by the signal. Rejects with
 * `controlplane.not-drained` when a step goes on after it for too long; the process must end then, since another leader
 * may have begun.
 */
export async function runControllers(
  controllers: readonly Controller[],
  tools: RunControllersTools,
  signal: AbortSignal,
): Promise<void> {
  const running = controllers.map((controller) => new Runner(controller, tools, signal));
  const all = Promise.all(running.map((runner) => runner.run()));
  await Promise.race([all, aborted(signal)]);
  const timing = tools.timing ?? systemTiming;
  const drainMs = tools.drainMs?.(signal.reason) ?? 4_000;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = timing.after(drainMs, () => {
    const steps = running.flatMap((runner) => runner.steps());
    reject(
      new GuardianError(
        'controlplane.not-drained',
        `${steps.join(', ')} went on for ${drainMs} ms after leadership had ended`,
        { hint: 'The process ends, so that nothing is done twice. Report this with the log.' },
      ),
    );
  });
  try {
    await Promise.race([all, late]);
  } finally {
    cancel();
    for (const runner of running) runner.leave();
    void all.catch(() => undefined);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });
}

interface Step {
  readonly startedMs: number;
  told: boolean;
}

const STUCK_AFTER_MS = 600_000;

class Runner {
  readonly #controller: Controller;
  readonly #tools: RunControllersTools;
  readonly #signal: AbortSignal;
  readonly #timing: Timing;
  readonly #queue: WorkQueue;
  readonly #failures: RepeatedFailures;
  readonly #steps = new Map<string, Step>();
  #cancelWatch: () => void = () => undefined;

  constructor(controller: Controller, tools: RunControllersTools, signal: AbortSignal) {
    this.#controller = controller;
    this.#tools = tools;
    this.#signal = signal;
    this.#timing = tools.timing ?? systemTiming;
    this.#queue = keyQueue(tools.limits, tools.random, this.#timing);
    this.#failures = new RepeatedFailures(() => this.#timing.nowMs());
  }

  async run(): Promise<void> {
    const stop = (): void => {
      this.#queue.stop();
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    if (this.#signal.aborted) stop();
    this.#cancelWatch = this.#watchSteps();
    try {
      const workers = Array.from({ length: Math.max(1, this.#controller.workers) }, () => this.#work());
      await Promise.all([this.#start(), ...workers]);
    } finally {
      this.leave();
      this.#signal.removeEventListener('abort', stop);
    }
  }

  /** Stops to look after what runs, also when that doesn't end. */
  leave(): void {
    this.#cancelWatch();
  }

  /** What runs now, for messages. */
  steps(): string[] {
    return [...this.#steps.keys()].map((key) => `${this.#controller.name} of ${key}`);
  }

  /** Until it has started, or leadership ends. */
  async #start(): Promise<void> {
    for (let failures = 1; !this.#ended(); failures += 1) {
      try {
        await this.#controller.start(this.#queue, this.#signal);
        return;
      } catch (error) {
        if (this.#ended()) return;
        this.#tell('controller-not-started', 'cannot start yet', '', error);
        await this.#pause(backOffMs(failures, START_LIMITS, this.#tools.random ?? Math.random));
      }
    }
  }

  async #work(): Promise<void> {
    for (;;) {
      const taken = await this.#queue.take();
      if (taken === undefined) return;
      this.#tools.metrics.queueWaitSeconds.observe(this.#label, taken.waitedMs / 1000);
      await this.#step(taken.key);
    }
  }

  async #step(key: string): Promise<void> {
    const startedMs = this.#timing.nowMs();
    this.#steps.set(key, { startedMs, told: false });
    let result = 'done';
    try {
      const again = await this.#controller.reconcile(key, this.#signal);
      this.#failures.forget(key);
      this.#queue.done(key, again?.afterMs);
    } catch (error) {
      result = this.#ended() ? 'ended' : 'failed';
      const delayMs = this.#queue.failed(key);
      if (result === 'failed') this.#tell('reconcile-failed', 'failed', key, error, { retryMs: delayMs });
    } finally {
      const step = this.#steps.get(key);
      this.#steps.delete(key);
      const tookMs = this.#timing.nowMs() - startedMs;
      this.#tools.metrics.reconciles.inc({ ...this.#label, result });
      this.#tools.metrics.reconcileSeconds.observe(this.#label, tookMs / 1000);
      if (step?.told === true)
        this.#say('info', 'reconcile-ended', `${key}: the long step has ended`, { key, tookMs });
    }
  }

  /** Now and then: figures for metrics, and steps that hang. */
  #watchSteps(): () => void {
    const { queueKeys, longestReconcileSeconds } = this.#tools.metrics;
    const stuckAfterMs = this.#tools.stuckAfterMs ?? STUCK_AFTER_MS;
    let cancel: () => void = () => undefined;
    const look = (): void => {
      for (const [state, value] of Object.entries({ ...this.#queue.figures() } as Record<string, number>))
        queueKeys.set({ ...this.#label, state }, value);
      const nowMs = this.#timing.nowMs();
      const ages = [...this.#steps].map(([key, step]) => ({ key, step, ageMs: nowMs - step.startedMs }));
      longestReconcileSeconds.set(this.#label, Math.max(0, ...ages.map(({ ageMs }) => ageMs)) / 1000);
      for (const { key, step, ageMs } of ages) {
        if (step.told || ageMs < stuckAfterMs) continue;
        step.told = true;
        const text = `${key}: this step has gone on for ${Math.round(ageMs / 1000)} s, and nothing else is done about it`;
        this.#say('warning', 'reconcile-stuck', text, { key, ageMs });
      }
      cancel = this.#timing.after(LOOK_MS, look);
    };
    look();
    return () => {
      cancel();
      longestReconcileSeconds.set(this.#label, 0);
    };
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const end = (): void => {
      resolve(undefined);
    };
    const cancel = this.#timing.after(ms, end);
    this.#signal.addEventListener('abort', end, { once: true });
    await promise;
    cancel();
    this.#signal.removeEventListener('abort', end);
  }

  /** Once for each cause, and then at most once an hour; a fault of ours, which is no GuardianError, with its stack. */
  #tell(event: string, what: string, key: string, error: unknown, fields: object = {}): void {
    const text = error instanceof GuardianError ? errorText(error) : reasonOf(error);
    const repeated = this.#failures.count(key, text);
    if (repeated === undefined) return;
    const times = repeated > 1 ? ` (${repeated} times)` : '';
    const fault = error instanceof GuardianError ? {} : { stack: error instanceof Error ? error.stack : '' };
    const subject = key === '' ? '' : `${key} `;
    const retryable = error instanceof GuardianError && error.retryable;
    this.#say(retryable ? 'warning' : 'error', event, `${subject}${what}${times}: ${text}`, {
      ...{ key, ...fields, ...errorFields(error), ...fault },
    });
  }

  #say(level: 'info' | 'warning' | 'error', event: string, text: string, fields: object): void {
    const { name } = this.#controller;
    this.#tools.log.write(level, event, `${name}: ${text}`, { controller: name, ...fields });
  }

  #ended(): boolean {
    return this.#signal.aborted;
  }

  get #label(): { controller: string } {
    return { controller: this.#controller.name };
  }
}

const START_LIMITS = { ...KEY_QUEUE_LIMITS, retryMs: 1_000, longestRetryMs: 60_000 };
const LOOK_MS = 5_000;
