import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import { GuardianError } from '../guardian-error.ts';
import type { KubeClient } from './kube-client.ts';
import { pause } from './pause.ts';
import { type Hold, type LeaseLock, leaseLock } from './lease-lock.ts';

export interface ElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** The pod's name, for people; what makes it unique is added. */
  readonly identity: string;
  readonly durations?: ElectionDurations;
  readonly clock?: Clock;
  /** In milliseconds; never goes back. Default `performance.now`, which also counts while the process is stopped. */
  readonly monotonic?: () => number;
  readonly random?: () => number;
  /** Ends the candidacy, and gives the Lease back. */
  readonly signal: AbortSignal;
  /**
   * Called when this process leads. The signal aborts when that ends: after it, nothing may be written. It should resolve
   * soon then; the Lease is given back, or run for again, only afterwards.
   */
  readonly lead: (signal: AbortSignal, term: LeaderTerm) => Promise<void>;
  /** Who leads, whenever that was seen to change. */
  readonly onChange?: (change: LeaderChange) => void;
  /** What went wrong, for logs; the election goes on by itself. */
  readonly onTrouble?: (error: unknown) => void;
}

export interface ElectionDurations {
  /** How long others wait for a silent leader. */
  readonly leaseMs: number;
  /** How long a leader goes on without renewing; shorter than `leaseMs` by what ending its work takes. */
  readonly renewDeadlineMs: number;
  /** Between two tries. */
  readonly retryMs: number;
}

export interface LeaderChange {
  /** With what makes it unique; empty: nobody. */
  readonly holder: string;
  readonly isUs: boolean;
}

/** One time of leading, from taking the Lease to losing it. */
export interface LeaderTerm {
  /** How often the Lease went from one holder to another: grows with each new one, as long as the Lease exists. */
  readonly transitions: number;
  /** The Lease's holder as it is written there. */
  readonly identity: string;
  /**
   * Whether nobody else can lead at this moment, by the own clock. Asked right before each write (`guardedBy` of the
   * connection): a process that was stopped finds out here before its signal had a chance to abort. After the wall clock
   * has jumped ahead, which may be a machine that was suspended, it is false until the next renewal.
   */
  readonly leading: boolean;
  /** Throws `kubernetes.not-leader` unless `leading`. */
  requireLeading(): void;
  /** Renews now. Rejects with `kubernetes.not-leader` when another holds the Lease, and with the client's errors. */
  verify(signal?: AbortSignal): Promise<void>;
}

export const ELECTION_DURATIONS: ElectionDurations = {
  leaseMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
};

/**
 * Runs for leader, leads, and runs again when that was lost, until the signal. Resolves when `signal` aborted, or `lead`
 * resolved of its own accord; the Lease is given back. Rejects with what `lead` rejected with; the Lease then runs out by
 * itself, since nobody knows what still goes on.
 */
export async function runElection(options: ElectionOptions): Promise<void> {
  const durations = options.durations ?? ELECTION_DURATIONS;
  const monotonic = options.monotonic ?? (() => performance.now());
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const identity = `${options.identity}_${randomUUID()}`;
  const { client, namespace, name, signal } = options;
  const lock = tellingLock(
    leaseLock({ client, namespace, name, identity, leaseMs: durations.leaseMs, clock, monotonic }),
    identity,
    options.onChange,
  );
  const parts: Parts = { ...{ options, durations, monotonic, clock, random, identity, lock } };
  while (!signal.aborted) {
    const hold = await acquire(parts);
    if (hold === undefined) return;
    const isOver = await serve(parts, hold);
    if (isOver) return;
  }
}

interface Parts {
  readonly options: ElectionOptions;
  readonly durations: ElectionDurations;
  readonly monotonic: () => number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly identity: string;
  readonly lock: LeaseLock;
}

/** Resolves to undefined when the signal aborted first. */
async function acquire({ options, durations, random, lock }: Parts): Promise<Hold | undefined> {
  const { signal, onTrouble } = options;
  while (!isAborted(signal)) {
    try {
      const hold = await lock.attempt(
        AbortSignal.any([signal, AbortSignal.timeout(durations.renewDeadlineMs)]),
      );
      if (hold !== undefined) return hold;
    } catch (error) {
      if (!isAborted(signal)) onTrouble?.(error);
    }
    await pause(durations.retryMs * (1 + 0.2 * random()), signal).catch(() => undefined);
  }
  return undefined;
}

/** Resolves to whether the election is over, when `lead` has ended. */
async function serve(parts: Parts, first: Hold): Promise<boolean> {
  const { options, durations, lock } = parts;
  const ending = new AbortController();
  const lost = new AbortController();
  const term = leaderTerm(parts, first, (reason) => {
    lost.abort(reason);
    ending.abort(reason);
  });
  const stop = (): void => {
    ending.abort(options.signal.reason);
  };
  options.signal.addEventListener('abort', stop, { once: true });
  if (isAborted(options.signal)) stop();
  let failure: { readonly error: unknown } | undefined;
  const led = (async () => {
    try {
      await options.lead(ending.signal, term);
    } catch (error) {
      if (!ending.signal.aborted || error !== ending.signal.reason) failure = { error };
    }
  })();
  const done = new AbortController();
  void led.then(() => {
    done.abort();
  });
  // Also while the work ends after `signal`: the Lease is ours until nothing can be written any more.
  while (!isAborted(done.signal) && !isAborted(lost.signal)) {
    await pause(durations.retryMs, AbortSignal.any([done.signal, lost.signal])).catch(() => undefined);
    if (isAborted(done.signal) || isAborted(lost.signal)) break;
    await term.renew().catch((error: unknown) => options.onTrouble?.(error));
  }
  await led;
  options.signal.removeEventListener('abort', stop);
  term.end();
  if (failure !== undefined) throw failure.error;
  if (isAborted(lost.signal)) return isAborted(options.signal);
  try {
    await lock.release(AbortSignal.timeout(Math.max(1, durations.leaseMs - durations.renewDeadlineMs)));
  } catch (error) {
    options.onTrouble?.(error);
  }
  return true;
}

interface RunningTerm extends LeaderTerm {
  /** Resolves when it is renewed; rejects when it isn't. One at a time; who comes later gets the same. */
  renew(): Promise<void>;
  end(): void;
}

function leaderTerm(parts: Parts, first: Hold, lose: (reason: GuardianError) => void): RunningTerm {
  const { durations, monotonic, clock, identity, lock, options } = parts;
  let hold = first;
  let over: GuardianError | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let renewing: Promise<void> | undefined;
  const leftMs = (): number => hold.sinceMs + durations.renewDeadlineMs - monotonic();
  const end = (reason: GuardianError): void => {
    clearTimeout(deadline);
    over ??= reason;
  };
  const fail = (why: string): GuardianError => {
    const reason = notLeader(options, why);
    end(reason);
    lose(reason);
    return reason;
  };
  const watchDeadline = (): void => {
    clearTimeout(deadline);
    deadline = setTimeout(
      () => {
        if (leftMs() <= 0) fail(`it could not be renewed for ${durations.renewDeadlineMs} ms`);
        else watchDeadline();
      },
      Math.max(0, leftMs()),
    );
  };
  const isLeading = (): boolean =>
    over === undefined &&
    leftMs() > 0 &&
    clock().getTime() - hold.since.getTime() < durations.renewDeadlineMs;
  const throwIfOver = (): void => {
    if (over !== undefined) throw over;
  };
  const renewOnce = async (): Promise<void> => {
    throwIfOver();
    const remainingMs = leftMs();
    if (remainingMs <= 0) throw fail(`it could not be renewed for ${durations.renewDeadlineMs} ms`);
    const renewed = await lock.attempt(AbortSignal.timeout(Math.ceil(remainingMs)));
    throwIfOver();
    if (renewed === undefined) throw fail(`${lock.holder()} holds it`);
    // Nobody else had it in between, but its deadline may have passed meanwhile.
    if (renewed.transitions !== hold.transitions) throw fail('another held it meanwhile');
    hold = renewed;
    watchDeadline();
  };
  const renew = async (): Promise<void> => {
    renewing ??= renewOnce().finally(() => {
      renewing = undefined;
    });
    await renewing;
  };
  watchDeadline();
  return {
    transitions: first.transitions,
    identity,
    get leading() {
      return isLeading();
    },
    requireLeading() {
      if (!isLeading()) throw over ?? notLeader(options, 'its last renewal is too long ago');
    },
    async verify(signal) {
      signal?.throwIfAborted();
      await renew();
      signal?.throwIfAborted();
    },
    renew,
    end: () => {
      end(notLeader(options, 'it was given back'));
    },
  };
}

function notLeader({ namespace, name }: ElectionOptions, why: string): GuardianError {
  return new GuardianError(
    'kubernetes.not-leader',
    `the Lease ${namespace}/${name} isn't ours any more: ${why}`,
    {
      hint: 'Another replica goes on from here.',
      retryable: true,
    },
  );
}

function tellingLock(
  lock: LeaseLock,
  identity: string,
  onChange: ((change: LeaderChange) => void) | undefined,
): LeaseLock {
  let told: string | undefined;
  const tell = (): void => {
    const holder = lock.holder();
    if (holder === told) return;
    told = holder;
    onChange?.({ holder, isUs: holder === identity });
  };
  return {
    holder: () => lock.holder(),
    attempt: (signal) => lock.attempt(signal).finally(tell),
    release: (signal) => lock.release(signal).finally(tell),
  };
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
