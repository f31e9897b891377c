import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { doubledMs } from '../doubled-delay.ts';

/** After the first failure; then twice as long each time, up to an hour. */
const FIRST_MS = 5_000;
const LONGEST_MS = 3_600_000;

/** Backups whose drills can't be prepared now, e.g. while a server that is asked for it is away: others come first. */
export class PutOff {
  readonly #monotonicMs: () => number;
  /** By uid. */
  readonly #all = new Map<string, { readonly failures: number; readonly untilMs: number }>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  has({ metadata }: EtcdBackup): boolean {
    return (this.#all.get(metadata.uid ?? '')?.untilMs ?? 0) > this.#monotonicMs();
  }

  add({ metadata: { uid = '' } }: EtcdBackup): void {
    const failures = (this.#all.get(uid)?.failures ?? 0) + 1;
    const untilMs = this.#monotonicMs() + doubledMs(failures, FIRST_MS, LONGEST_MS);
    this.#all.set(uid, { failures, untilMs });
  }

  /** It was prepared. */
  remove({ metadata: { uid = '' } }: EtcdBackup): void {
    this.#all.delete(uid);
  }

  /** Backups that are gone are needed no more; returns how long it is until the next one is tried again. */
  keep(backups: readonly EtcdBackup[]): number {
    const there = new Set(backups.map(({ metadata: { uid = '' } }) => uid));
    for (const uid of [...this.#all.keys()]) if (!there.has(uid)) this.#all.delete(uid);
    const nowMs = this.#monotonicMs();
    const times = [...this.#all.values()].flatMap(({ untilMs }) =>
      untilMs > nowMs ? [untilMs - nowMs] : [],
    );
    return Math.max(1, Math.min(LONGEST_MS, ...times));
  }
}
