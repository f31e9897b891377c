import type { Census } from './post-care/census.ts';
import type { RestoreReport } from './restore-report.ts';
import type { RestoreSubject } from './restore-subject.ts';

/** A restore that this process leads, or has led. It goes on whoever leads the control plane. */
export interface RestoreRun {
  readonly key: string;
  readonly operation: string;
  /** Of the newest report. */
  readonly report: RestoreReport;
  /** What it is about, once the plan is made. */
  readonly subject: RestoreSubject | undefined;
  /** Who was there just before API servers were stopped; undefined: nobody counted. */
  readonly before?: Census | undefined;
  /** Gives it up where nothing is stopped yet. */
  cancel(reason: unknown): void;
  /** The status says how it ended. */
  told: boolean;
}

/** All of a process: they outlive every leadership, since a restore takes the API server and its Lease away. */
export class RestoreRuns {
  readonly #runs = new Map<string, RestoreRun>();
  readonly #listeners = new Set<(key: string) => void>();

  /** By the key of its EtcdRestore. */
  get(key: string): RestoreRun | undefined {
    return this.#runs.get(key);
  }

  list(): readonly RestoreRun[] {
    return [...this.#runs.values()];
  }

  put(run: RestoreRun): void {
    for (const [key, { told }] of this.#runs) if (told) this.#runs.delete(key);
    this.#runs.set(run.key, run);
  }

  drop(key: string): void {
    this.#runs.delete(key);
  }

  changed(key: string): void {
    for (const listener of this.#listeners) listener(key);
  }

  /** Told of every change; what comes back ends it. */
  listen(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
