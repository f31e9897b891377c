import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type {
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from './object-store.ts';

export type StoreOperation = 'put' | 'putIfAbsent' | 'get' | 'stat' | 'list' | 'delete' | 'sweepStaleUploads';

/** What goes wrong with a call. */
export type StoreFault =
  /** It fails before anything happens. Default: `store.busy`, as a 503 is. */
  | { readonly kind: 'refused'; readonly error?: Error }
  /** It happens, but its reply is lost: rejects with `store.unreachable`. */
  | { readonly kind: 'reply-lost' }
  /** A put or get breaks after this many bytes with `store.unreachable`; nothing becomes visible of a put. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** A put breaks after this many bytes with `store.full`. */
  | { readonly kind: 'full'; readonly afterBytes: number }
  /** This long before the call, and before each chunk of a body. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** A put or putIfAbsent replaces what has the name, as a store does that ignores the condition. */
  | { readonly kind: 'overwrites' };

/** Says for each call what goes wrong with it; `call` counts the calls of that operation from 1. */
export type FaultPlan = (operation: StoreOperation, call: number, name: string) => StoreFault | undefined;

/** A store on which things go wrong as planned. For tests, around a real store. */
export class FaultInjectingStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #plan: FaultPlan;
  readonly #calls = new Map<StoreOperation, number>();

  constructor(store: ObjectStore, plan: FaultPlan) {
    this.location = store.location;
    this.#store = store;
    this.#plan = plan;
  }

  /** How often it was called so far. */
  calls(operation: StoreOperation): number {
    return this.#calls.get(operation) ?? 0;
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    return this.#faulty('put', name, options, (fault) =>
      this.#store.put(name, spoiled(body, fault), options),
    );
  }

  async putIfAbsent(name: string, body: Uint8Array, options: PutOptions = {}): Promise<StoredObject> {
    return this.#faulty('putIfAbsent', name, options, async (fault) => {
      const error = breakWithin(fault, body.length);
      if (error !== undefined) throw error;
      for (;;) {
        try {
          return await this.#store.putIfAbsent(name, body, options);
        } catch (refusal) {
          if (fault?.kind !== 'overwrites' || !hasCode(refusal, 'store.exists')) throw refusal;
          await this.#store.delete(name, options);
        }
      }
    });
  }

  async *get(name: string, options: GetOptions = {}): AsyncGenerator<Uint8Array, void> {
    const fault = await this.#begin('get', name, options);
    yield* spoiled(this.#store.get(name, options), fault);
    if (fault?.kind === 'reply-lost') throw replyLost('get', name);
  }

  stat(name: string, options: StoreCallOptions = {}): Promise<StoredObject> {
    return this.#faulty('stat', name, options, () => this.#store.stat(name, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<StoredObject, void> {
    const fault = await this.#begin('list', prefix, options);
    yield* this.#store.list(prefix, options);
    if (fault?.kind === 'reply-lost') throw replyLost('list', prefix);
  }

  delete(name: string, options: StoreCallOptions = {}): Promise<void> {
    return this.#faulty('delete', name, options, () => this.#store.delete(name, options));
  }

  sweepStaleUploads(olderThan: Date, options: StoreCallOptions = {}): Promise<number> {
    return this.#faulty('sweepStaleUploads', '', options, () =>
      this.#store.sweepStaleUploads(olderThan, options),
    );
  }

  async #faulty<T>(
    operation: StoreOperation,
    name: string,
    options: StoreCallOptions,
    happen: (fault: StoreFault | undefined) => Promise<T>,
  ): Promise<T> {
    const fault = await this.#begin(operation, name, options);
    const result = await happen(fault);
    if (fault?.kind === 'reply-lost') throw replyLost(operation, name);
    return result;
  }

  async #begin(
    operation: StoreOperation,
    name: string,
    options: StoreCallOptions,
  ): Promise<StoreFault | undefined> {
    options.signal?.throwIfAborted();
    const call = this.calls(operation) + 1;
    this.#calls.set(operation, call);
    const fault = this.#plan(operation, call, name);
    if (fault?.kind === 'refused') throw fault.error ?? busy(operation, name);
    if (fault?.kind === 'slow') await delay(fault.delayMs);
    return fault;
  }
}

/** The `nth` call of `operation` meets `fault`. */
export function nthCall(operation: StoreOperation, nth: number, fault: StoreFault): FaultPlan {
  return (called, call) => (called === operation && call === nth ? fault : undefined);
}

/** The first plan that has a fault for a call decides. */
export function anyOf(...plans: readonly FaultPlan[]): FaultPlan {
  return (operation, call, name) => {
    for (const plan of plans) {
      const fault = plan(operation, call, name);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}

/** Each call meets one of `faults`, at `probability`; `random` gives numbers in [0, 1) from the test's seed. */
export function randomFaults(
  random: () => number,
  probability: number,
  faults: readonly StoreFault[],
): FaultPlan {
  return () => (random() < probability ? faults[Math.floor(random() * faults.length)] : undefined);
}

async function* spoiled(
  body: AsyncIterable<Uint8Array>,
  fault: StoreFault | undefined,
): AsyncGenerator<Uint8Array, void> {
  let passed = 0;
  for await (const chunk of body) {
    if (fault?.kind === 'slow') await delay(fault.delayMs);
    const error = breakWithin(fault, passed + chunk.length);
    if (error !== undefined) {
      const left = limitOf(fault) - passed;
      if (left > 0) yield chunk.subarray(0, left);
      throw error;
    }
    passed += chunk.length;
    yield chunk;
  }
}

function limitOf(fault: StoreFault | undefined): number {
  return fault?.kind === 'cut' || fault?.kind === 'full' ? fault.afterBytes : Infinity;
}

/** The error of a body that breaks before it has `bytes` bytes. */
function breakWithin(fault: StoreFault | undefined, bytes: number): GuardianError | undefined {
  if (bytes <= limitOf(fault)) return undefined;
  return fault?.kind === 'full'
    ? new GuardianError('store.full', `injected: full after ${limitOf(fault)} bytes`)
    : new GuardianError('store.unreachable', `injected: cut after ${limitOf(fault)} bytes`, {
        retryable: true,
      });
}

function busy(operation: StoreOperation, name: string): GuardianError {
  return new GuardianError('store.busy', `injected: ${operation} ${name} was refused`, { retryable: true });
}

function replyLost(operation: StoreOperation, name: string): GuardianError {
  const message = `injected: the reply to ${operation} ${name} was lost`;
  return new GuardianError('store.unreachable', message, { retryable: true });
}
