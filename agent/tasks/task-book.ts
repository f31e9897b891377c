import { setTimeout as delay } from 'node:timers/promises';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { TaskState, TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import { wholeUpdate } from '../../lib/agent-api/task-record.ts';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { TaskRecords } from './task-records.ts';

/** The work of a task. `update` tells how far it is; what it resolves to is its last update, which holds what came of it. */
export type TaskWork = (
  update: (next: Sent<TaskUpdate>) => void,
  signal: AbortSignal,
) => Promise<Sent<TaskUpdate>>;

export interface TaskBookTools {
  readonly clock: Clock;
  readonly records: TaskRecords;
  readonly onBegin: (task: TaskState) => void;
  /** `error` undefined: it ended well. */
  readonly onEnd: (task: TaskState, error: unknown) => void;
  /** The result is not on disk; the work is done all the same. */
  readonly onUnrecorded: (error: unknown) => void;
}

/**
 * The long work of an agent, each piece named by its operation. Who asks for the same operation again joins what goes on,
 * or gets what came of it; what failed is tried anew. Nobody who hangs up ends anything.
 */
export class TaskBook {
  private readonly tools: TaskBookTools;
  private readonly running = new Map<string, RunningTask>();
  private closed: GuardianError | undefined;

  constructor(tools: TaskBookTools) {
    this.tools = tools;
  }

  /** Everything that goes on, then what has ended, newest first. */
  states(): TaskState[] {
    const ended = [...this.tools.records.all].sort((a, b) => b.endedMs - a.endedMs);
    return [...[...this.running.values()].map((task) => task.state), ...ended];
  }

  /**
   * Follows a task, begun here unless it goes on or has ended well. Yields at once how far it is, then what changes, the
   * newest only, for a slow reader too; the last has what came of it. Throws the task's error, and `agent.request`
   * where the operation is other work, `agent.stopping`.
   */
  async *follow(
    operation: string,
    kind: string,
    work: TaskWork,
    signal: AbortSignal,
  ): AsyncGenerator<TaskUpdate, void> {
    const recorded = this.tools.records.find(operation);
    const found = this.running.get(operation)?.state ?? recorded;
    if (found !== undefined && found.kind !== kind) throw otherWork(operation, found.kind, kind);
    if (!this.running.has(operation) && recorded?.last !== undefined) {
      yield recorded.last;
      return;
    }
    const task = this.running.get(operation) ?? this.begin(operation, kind, work);
    yield* task.updates(signal);
  }

  /** True when there was something to cancel. It ends soon after. */
  cancel(operation: string, reason: string): boolean {
    const task = this.running.get(operation);
    task?.abort(
      new GuardianError(
        'agent.cancelled',
        `operation ${operation} was cancelled: ${reason || 'no reason given'}`,
      ),
    );
    return task !== undefined;
  }

  /** Takes no more work; what runs may end within `graceMs`, then it is aborted and waited for. */
  async close(graceMs: number): Promise<void> {
    this.closed = new GuardianError('agent.stopping', 'the agent goes down', {
      hint: 'Ask again with the same operation once it is back.',
      retryable: true,
    });
    const ended = Promise.all([...this.running.values()].map((task) => task.ended));
    const inTime = new AbortController();
    await Promise.race([ended, delay(graceMs, undefined, { signal: inTime.signal }).catch(() => undefined)]);
    inTime.abort();
    for (const task of this.running.values()) task.abort(this.closed);
    await ended;
  }

  private begin(operation: string, kind: string, work: TaskWork): RunningTask {
    if (this.closed !== undefined) throw this.closed;
    if (this.running.size >= MOST) {
      throw new GuardianError('agent.busy', `${this.running.size} tasks wait on this node already`, {
        hint: 'Wait for some to end.',
        retryable: true,
      });
    }
    const task = new RunningTask(operation, kind, this.tools.clock);
    this.running.set(operation, task);
    this.tools.onBegin(task.state);
    task.run(work, async (error) => {
      if (error === undefined) await this.tools.records.keep(task.state).catch(this.tools.onUnrecorded);
      this.running.delete(operation);
      this.tools.onEnd(task.state, error);
    });
    return task;
  }
}

/** Descriptions hold each of them. */
const MOST = 200;
/** A caller is told of bytes so often, of steps at once. */
const TELL_EVERY_MS = 500;

class RunningTask {
  readonly operation: string;
  readonly kind: string;
  /** Never rejects. */
  ended: Promise<void> = Promise.resolve();
  private readonly clock: Clock;
  private readonly startedMs: number;
  private readonly aborting = new AbortController();
  private readonly listeners = new Set<() => void>();
  private last: TaskUpdate = wholeUpdate({ step: 'Preparing' });
  private end: { readonly ms: number; readonly error: unknown } | undefined;

  constructor(operation: string, kind: string, clock: Clock) {
    this.operation = operation;
    this.kind = kind;
    this.clock = clock;
    this.startedMs = clock().getTime();
  }

  get state(): TaskState {
    const { operation, kind, startedMs, last } = this;
    return { operation, kind, startedMs, endedMs: this.end?.ms ?? 0, last };
  }

  abort(reason: GuardianError): void {
    this.aborting.abort(reason);
  }

  run(work: TaskWork, onEnd: (error: unknown) => Promise<void>): void {
    const { signal } = this.aborting;
    const update = (next: Sent<TaskUpdate>): void => {
      this.last = wholeUpdate(next);
      this.wake();
    };
    const running = async (): Promise<void> => {
      let error: unknown;
      try {
        update(await work(update, signal));
      } catch (failure) {
        error = failure ?? new Error('it failed');
      }
      this.end = { ms: this.clock().getTime(), error };
      await onEnd(error);
      this.wake();
    };
    this.ended = running();
  }

  async *updates(signal: AbortSignal): AsyncGenerator<TaskUpdate, void> {
    let told: TaskUpdate | undefined;
    let toldAtMs = 0;
    for (;;) {
      const done = this.end !== undefined;
      if (done) await this.ended;
      if (this.end?.error !== undefined) throw asError(this.end.error);
      const soon = toldAtMs + TELL_EVERY_MS - performance.now();
      if (this.last !== told && (done || this.last.step !== told?.step || soon <= 0)) {
        told = this.last;
        toldAtMs = performance.now();
        yield told;
      }
      if (done) return;
      if (signal.aborted) throw asError(signal.reason);
      await this.changed(this.last === told ? undefined : soon, signal);
    }
  }

  /** Resolves when something changed, the caller left, or `ms` have passed. */
  private changed(ms: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(wake, Math.max(ms, 1));
      const { listeners } = this;
      function wake(): void {
        clearTimeout(timer);
        listeners.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      }
      listeners.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  private wake(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

function otherWork(operation: string, is: string, asked: string): GuardianError {
  return new GuardianError('agent.request', `operation ${operation} is ${is}, not ${asked}`, {
    hint: 'Give each piece of work an operation of its own.',
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(reasonOf(error));
}
