import type { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { attemptBackup, type AttemptResult, type AttemptTools } from './attempt-backup.ts';
import type { RunProgress } from './backup-run.ts';

export interface LiveRunTools extends Pick<AttemptTools, 'tools' | 'runs'> {
  /** Leadership. */
  readonly signal: AbortSignal;
  /** Something has changed that the status should tell: at once, or when it has time. */
  readonly onChange: (when: 'now' | 'soon') => void;
}

/** How an attempt ended. */
export type RunEnd = { readonly result: AttemptResult } | { readonly error: unknown };

/** One attempt at a backup that goes on in the background, and what it told last. */
export class LiveRun {
  readonly key: string;
  readonly uid: string;
  readonly startedAt: Date;
  /** Set when it has ended. */
  end: RunEnd | undefined;
  readonly #tools: LiveRunTools;
  readonly #cancel = new AbortController();
  #progress: RunProgress = { step: 'Validating', message: '', doneBytes: 0, totalBytes: 0 };
  #node: string | undefined;
  #admitted = false;
  #recording: { readonly node: string; readonly resolve: () => void }[] = [];
  readonly ended: Promise<void>;

  /** `backup` as its status says that this attempt has begun. */
  constructor(key: string, backup: EtcdBackup, tools: LiveRunTools) {
    this.key = key;
    this.uid = backup.metadata.uid ?? '';
    this.startedAt = tools.tools.clock();
    this.#tools = tools;
    this.ended = this.#run(backup);
  }

  /** What the status should say now. */
  get state(): { progress: RunProgress; node: string | undefined; admitted: boolean } {
    return { progress: this.#progress, node: this.#node, admitted: this.#admitted };
  }

  /** The status says now who does it. */
  written(node: string | undefined): void {
    const done = this.#recording.filter((one) => one.node === node);
    const left = this.#recording.filter((one) => one.node !== node);
    this.#recording = left;
    for (const { resolve } of done) resolve();
  }

  /** True while something waits to be written down before it is done. */
  get recording(): boolean {
    return this.#recording.length > 0;
  }

  cancel(reason: GuardianError): void {
    this.#cancel.abort(reason);
  }

  async #run(backup: EtcdBackup): Promise<void> {
    const { tools, runs, signal: leading, onChange } = this.#tools;
    const signal = AbortSignal.any([leading, this.#cancel.signal]);
    try {
      const result = await attemptBackup(backup, {
        ...{ tools, runs, signal, leading },
        onAdmitted: () => {
          this.#admitted = true;
        },
        onProgress: (progress) => {
          const moved = progress.step !== this.#progress.step;
          this.#progress = progress;
          onChange(moved ? 'now' : 'soon');
        },
        record: ({ node }) => this.#record(node, signal),
      });
      this.end = { result };
    } catch (error) {
      this.end = { error };
    }
    onChange('now');
  }

  async #record(node: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const stop = (): void => {
      reject(signal.reason);
    };
    this.#node = node;
    this.#recording.push({
      node,
      resolve: () => {
        resolve(undefined);
      },
    });
    signal.addEventListener('abort', stop, { once: true });
    this.#tools.onChange('now');
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}
