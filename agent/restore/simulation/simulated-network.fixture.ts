import { GuardianError } from '../../../lib/guardian-error.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import type { VirtualProcess, VirtualTime } from './virtual-time.fixture.ts';

/** How bad the road is. */
export interface Weather {
  /** Of requests, and of answers. */
  loss: number;
  /** Of requests: they arrive twice, the second time later. */
  repeats: number;
  slowestMs: number;
}

/** Whoever answers calls: the process that runs there now, if one does. */
export interface Callee {
  readonly name: string;
  process: VirtualProcess | undefined;
}

/** A network that loses, delays, repeats and reorders, and falls apart and heals. */
export class SimulatedNetwork {
  readonly weather: Weather;
  /** Pairs of names that don't reach each other. */
  private readonly cut = new Set<string>();
  private readonly time: VirtualTime;
  private readonly random: SeededRandom;

  constructor(time: VirtualTime, random: SeededRandom, weather: Weather) {
    this.time = time;
    this.random = random;
    this.weather = weather;
  }

  part(a: string, b: string): void {
    this.cut.add(pair(a, b));
  }

  heal(a: string, b: string): void {
    this.cut.delete(pair(a, b));
  }

  healAll(): void {
    this.cut.clear();
    Object.assign(this.weather, { loss: 0, repeats: 0, slowestMs: 20 });
  }

  /** Calls as over gRPC: it ends with an answer, an error of the other side, or one that says nothing of what was done. */
  async call<T>(
    from: VirtualProcess,
    fromName: string,
    to: Callee,
    work: () => Promise<T>,
    timeoutMs: number,
  ): Promise<T> {
    const { random, weather, time } = this;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const answer = (tell: () => void, delayMs: number): void => {
      time.after(delayMs, () => {
        // The dead hear nothing.
        if (from.isAlive) tell();
      });
    };
    const fail = (code: string, delayMs: number): void => {
      answer(() => {
        reject(new GuardianError(code, `${to.name} is away`, { retryable: true }));
      }, delayMs);
    };
    const arrive = (isRepeat: boolean): void => {
      const { process } = to;
      if (this.isLost(fromName, to.name)) return;
      if (process?.isAlive !== true) {
        if (!isRepeat) fail('agent.unreachable', this.delay());
        return;
      }
      process.onDeath(() => {
        fail('agent.connection-lost', this.delay());
      });
      const back = (tell: () => void): void => {
        if (!isRepeat && !this.isLost(fromName, to.name)) answer(tell, this.delay());
      };
      work().then(
        (result) => {
          back(() => {
            resolve(result);
          });
        },
        (error: unknown) => {
          back(() => {
            reject(error instanceof Error ? error : new Error(String(error)));
          });
        },
      );
    };
    time.after(this.delay(), () => {
      arrive(false);
    });
    if (random.next() < weather.repeats) {
      time.after(this.delay() * 5, () => {
        arrive(true);
      });
    }
    fail('agent.deadline', timeoutMs);
    return await promise;
  }

  private isLost(a: string, b: string): boolean {
    return this.cut.has(pair(a, b)) || this.random.next() < this.weather.loss;
  }

  private delay(): number {
    return this.random.integer(1, this.weather.slowestMs + 1);
  }
}

/** Rejects when a caller waits no longer; what was called goes on. */
export async function hungUp(signal: AbortSignal): Promise<never> {
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });
  throw new Error('it hung up', { cause: signal.reason });
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
