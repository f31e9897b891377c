import { Buffer } from 'node:buffer';
import { Worker } from 'node:worker_threads';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/** A piece of memory that this thread fills and a worker thread reads. */
export interface Slot {
  readonly number: number;
  readonly bytes: Buffer;
}

/** What the worker gets beside its own data; see `serveSlots`. */
export interface SlotThreadData {
  readonly memory: SharedArrayBuffer;
  readonly slotSize: number;
  readonly options: unknown;
}

export type ToThread =
  | { readonly kind: 'bytes'; readonly slot: number; readonly length: number }
  | { readonly kind: 'ask'; readonly id: number; readonly question: unknown };

export type FromThread =
  | { readonly kind: 'free'; readonly slot: number }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly error: ThreadError };

/** An error as it crosses between threads. */
export interface ThreadError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/**
 * A worker thread that is fed bytes through a few slots of shared memory, and asked things. Whoever feeds it waits for
 * a free slot, which is the back-pressure. If the thread dies, everything that waits on it rejects with
 * `thread.died`, and so does every later call: nothing hangs.
 */
export class SlotThread implements AsyncDisposable {
  private readonly worker: Worker;
  private readonly slots: Slot[];
  private readonly free: Slot[];
  private readonly slotWaiters: Waiter<Slot>[] = [];
  private readonly questions = new Map<number, Waiter<unknown>>();
  private nextQuestion = 0;
  private failure: GuardianError | undefined;

  /** Starts `script`, which calls `serveSlots`. `options` must be cloneable. */
  constructor(
    script: URL,
    options: unknown,
    { count, size }: { readonly count: number; readonly size: number },
  ) {
    const memory = new SharedArrayBuffer(count * size);
    this.slots = Array.from({ length: count }, (_, number) => ({
      number,
      bytes: Buffer.from(memory, number * size, size),
    }));
    this.free = [...this.slots];
    const workerData: SlotThreadData = { memory, slotSize: size, options };
    this.worker = new Worker(script, { workerData });
    this.worker.on('message', (message: FromThread) => {
      this.take(message);
    });
    this.worker.on('error', (error) => {
      this.fail(reasonOf(error), error);
    });
    this.worker.on('exit', (code) => {
      this.fail(`it exited with code ${code}`, undefined);
    });
  }

  /** A slot that nobody uses; waits until there is one. */
  async slot(): Promise<Slot> {
    if (this.failure !== undefined) throw this.failure;
    const slot = this.free.pop();
    if (slot !== undefined) return slot;
    return new Promise((resolve, reject) => {
      this.slotWaiters.push({ resolve, reject });
    });
  }

  /** Hands the first `length` bytes of a slot to the thread; it becomes free when they are read. */
  send({ number }: Slot, length: number): void {
    this.post({ kind: 'bytes', slot: number, length });
  }

  /** Asks the thread, after all bytes sent before; rejects with the GuardianError that it refuses with. */
  async ask(question: unknown): Promise<unknown> {
    if (this.failure !== undefined) throw this.failure;
    const id = this.nextQuestion++;
    return new Promise((resolve, reject) => {
      this.questions.set(id, { resolve, reject });
      this.post({ kind: 'ask', id, question });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fail('it was ended', undefined);
    await this.worker.terminate();
  }

  private post(message: ToThread): void {
    this.worker.postMessage(message);
  }

  private take(message: FromThread): void {
    if (message.kind === 'free') {
      const slot = this.slots[message.slot];
      if (slot === undefined) return;
      const waiter = this.slotWaiters.shift();
      if (waiter === undefined) this.free.push(slot);
      else waiter.resolve(slot);
      return;
    }
    const question = this.questions.get(message.id);
    this.questions.delete(message.id);
    if (message.kind === 'answer') question?.resolve(message.answer);
    else {
      const { code, message: text, hint } = message.error;
      question?.reject(new GuardianError(code, text, hint === undefined ? {} : { hint }));
    }
  }

  private fail(reason: string, cause: unknown): void {
    this.failure ??= new GuardianError('thread.died', `a worker thread died: ${reason}`, {
      hint: 'Try again; if it was out of memory, give the process more.',
      retryable: true,
      cause,
    });
    for (const waiter of [...this.slotWaiters.splice(0), ...this.questions.values()]) {
      waiter.reject(this.failure);
    }
    this.questions.clear();
  }
}
