import { setTimeout as pause } from 'node:timers/promises';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { busy } from '../state/term-keeper.ts';

type Update = Sent<TaskUpdate>;

/** Tells how far it is; what it resolves to is the last that is told. */
export type StageWork = (tell: (update: Update) => void, signal: AbortSignal) => Promise<Update>;

/** The staging that goes on here: at most one at a time. Who hangs up ends nothing. */
export class StageRuns {
  private running: StageRun | undefined;

  get operation(): string | undefined {
    return this.running?.operation;
  }

  /**
   * Joins what goes on for the operation, or begins it: at once, so that whoever cancels it afterwards finds it. `identity`
   * tells whether what goes on is what is asked for. Throws `restore.busy`; what follows throws what the work does.
   */
  follow(
    operation: string,
    identity: string,
    work: StageWork,
    signals: { readonly caller: AbortSignal; readonly agent: AbortSignal },
  ): AsyncGenerator<Update, void> {
    this.requireFree(operation, identity);
    const run = this.running ?? this.begin(operation, identity, work, signals.agent);
    return updatesOf(run, signals.caller);
  }

  /** Throws `restore.busy` where something else is staged. */
  requireFree(operation: string, identity: string): void {
    const { running } = this;
    if (running === undefined) return;
    if (running.operation !== operation || running.identity !== identity) throw busy(running.operation);
  }

  /** Ends what is staged for an operation by another plan than this one; resolves when that has ended. */
  async supersede(operation: string, identity: string): Promise<void> {
    if (this.running?.identity !== identity) await this.cancel(operation);
  }

  /** Ends what is staged for an operation, if it is; resolves when that has ended. */
  async cancel(operation: string): Promise<void> {
    if (this.running?.operation !== operation) return;
    this.running.aborting.abort(
      new GuardianError('restore.cancelled', `restore ${operation} was given up while it was staged`),
    );
    await this.running.ended;
  }

  /** Resolves when nothing is staged any more. */
  async settled(): Promise<void> {
    await this.running?.ended;
  }

  private begin(operation: string, identity: string, work: StageWork, agent: AbortSignal): StageRun {
    const aborting = new AbortController();
    const run: StageRun = {
      ...{ operation, identity, aborting, end: undefined, ended: Promise.resolve() },
      last: { step: 'Staging' },
    };
    const through = async (): Promise<void> => {
      try {
        const tell = (update: Update): void => {
          run.last = update;
        };
        run.end = { result: await work(tell, AbortSignal.any([aborting.signal, agent])) };
      } catch (error) {
        run.end = { error: error instanceof Error ? error : new Error(reasonOf(error)) };
      } finally {
        this.running = undefined;
      }
    };
    this.running = run;
    run.ended = through();
    return run;
  }
}

async function* updatesOf(run: StageRun, caller: AbortSignal): AsyncGenerator<Update, void> {
  let told: Update | undefined;
  while (run.end === undefined) {
    if (run.last !== told) {
      told = run.last;
      yield told;
    }
    const sooner = new AbortController();
    const signal = AbortSignal.any([caller, sooner.signal]);
    await Promise.race([run.ended, pause(TELL_EVERY_MS, undefined, { signal }).catch(() => undefined)]);
    sooner.abort();
    caller.throwIfAborted();
  }
  if ('error' in run.end) throw run.end.error;
  yield run.end.result;
}

interface StageRun {
  readonly operation: string;
  /** What is staged: another plan is other work. */
  readonly identity: string;
  readonly aborting: AbortController;
  last: Update;
  end: { readonly result: Update } | { readonly error: Error } | undefined;
  ended: Promise<void>;
}

const TELL_EVERY_MS = 500;
