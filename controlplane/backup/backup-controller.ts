import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { splitKey } from '../../lib/kubernetes/object-key.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import type { Again, Controller, KeyQueue } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { BackupRuns } from './attempt-backup.ts';
import { BackupMetrics } from './backup-metrics.ts';
import { begunStatus, completedStatus, failedStatus, runningStatus, waitingStatus } from './backup-status.ts';
import { type BackupWatch, backupWatch } from './backup-watch.ts';
import { LiveRun, type RunEnd } from './live-run.ts';
import { ATTEMPT_LIMITS, type AttemptLimits, nextAttemptMs, tooManyAttempts } from './next-attempt.ts';
import { withFinalizer } from './stored-data-finalizer.ts';
import { tellEnd, tellRetry, tellStart } from './tell-backup.ts';

export interface BackupControllerOptions {
  readonly runs: BackupRuns;
  readonly limits?: AttemptLimits | undefined;
}

/** Asked for by whoever may change the metadata of an EtcdBackup: its run is ended, for this reason. */
export const CANCEL_ANNOTATION = 'etcdguardian.io/cancel';

/** While it runs, a status is written so often at most, unless the step changes. */
const WRITE_MS = 5_000;
/** Somebody else has changed it: our copy follows in a moment. */
const CONFLICT_MS = 200;

/** Makes each EtcdBackup without a schedule, once: `Pending → Running → Completed | Failed`. */
export function backupController(tools: ControlPlaneTools, options: BackupControllerOptions): Controller {
  let current: BackupReconciler | undefined;
  return {
    name: 'backup',
    workers: 8,
    async start(queue, signal) {
      const watch = backupWatch(tools, signal);
      current = new BackupReconciler(tools, options, watch, queue, signal);
      watch.listen((key) => {
        queue.add(key);
      });
      await watch.synced;
    },
    reconcile: async (key, signal) => current?.reconcile(key, signal),
  };
}

/** Of one leadership. */
class BackupReconciler {
  readonly #tools: ControlPlaneTools;
  readonly #options: BackupControllerOptions;
  readonly #watch: BackupWatch;
  readonly #queue: KeyQueue;
  readonly #leading: AbortSignal;
  readonly #metrics: BackupMetrics;
  /** By key. */
  readonly #live = new Map<string, LiveRun>();
  /** By uid: when the next attempt begins, by the monotonic clock. */
  readonly #pauses = new Map<string, number>();
  /** By key: when the status was last written, by the monotonic clock. */
  readonly #written = new Map<string, number>();

  constructor(
    tools: ControlPlaneTools,
    options: BackupControllerOptions,
    watch: BackupWatch,
    queue: KeyQueue,
    leading: AbortSignal,
  ) {
    this.#tools = tools;
    this.#options = options;
    this.#watch = watch;
    this.#queue = queue;
    this.#leading = leading;
    this.#metrics = new BackupMetrics(tools.metrics);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Again | undefined> {
    try {
      return await this.#step(key, signal);
    } catch (error) {
      if (hasCode(error, 'kubernetes.conflict')) return { afterMs: CONFLICT_MS };
      if (hasCode(error, 'kubernetes.not-found')) return undefined;
      throw error;
    }
  }

  async #step(key: string, signal: AbortSignal): Promise<Again | undefined> {
    // 1. What is there?
    const backup = this.#watch.get(key);
    const live = this.#live.get(key);
    if (live !== undefined && live.uid !== backup?.metadata.uid) this.#drop(key, live, DELETED);
    if (backup === undefined) {
      this.#metrics.gone(key);
      return undefined;
    }
    if (backup.metadata.deletionTimestamp !== undefined) {
      if (live !== undefined) this.#drop(key, live, DELETED);
      return undefined;
    }
    if ((backup.spec.schedule ?? '') !== '') return undefined;

    // 2. Decide and act.
    const { phase } = backup.status ?? {};
    if (phase === 'Completed' || phase === 'Failed') {
      this.#drop(key, live, DELETED);
      this.#metrics.seen(key, backup);
      return undefined;
    }
    const cancelled = cancellation(backup);
    if (live === undefined) return this.#begin(key, backup, cancelled, signal);
    if (cancelled !== undefined) live.cancel(cancelled);
    return live.end === undefined
      ? this.#follow(key, backup, live, signal)
      : this.#finish(key, backup, live, live.end, signal);
  }

  /** Writes down that an attempt begins; what has been written begins. */
  async #begin(
    key: string,
    backup: EtcdBackup,
    cancelled: GuardianError | undefined,
    signal: AbortSignal,
  ): Promise<Again | undefined> {
    const { uid = '' } = backup.metadata;
    const waitMs = (this.#pauses.get(uid) ?? 0) - performance.now();
    const { attempts = 0 } = backup.status?.source ?? {};
    const { limits = ATTEMPT_LIMITS } = this.#options;
    if (cancelled !== undefined) return this.#end(key, backup, { error: cancelled }, signal);
    if (waitMs > 0) return { afterMs: waitMs };
    if (attempts >= limits.attempts)
      return this.#end(key, backup, { error: tooManyAttempts(attempts) }, signal);
    const held = await withFinalizer(this.#tools.kube, backup, signal);
    const begun = await this.#write(key, held, begunStatus(held, this.#tools.clock()), signal);
    signal.throwIfAborted();
    if (attempts === 0) tellStart(this.#tools, begun);
    this.#live.set(
      key,
      new LiveRun(key, begun, {
        ...{ tools: this.#tools, runs: this.#options.runs, signal: this.#leading },
        onChange: (when) => {
          this.#queue.add(key, when === 'now' ? 0 : this.#untilWrite(key));
        },
      }),
    );
    return undefined;
  }

  async #follow(
    key: string,
    backup: EtcdBackup,
    live: LiveRun,
    signal: AbortSignal,
  ): Promise<Again | undefined> {
    const { state } = live;
    const moved = state.progress.step !== backup.status?.step || live.recording;
    const waitMs = this.#untilWrite(key);
    if (!moved && waitMs > 0) return { afterMs: waitMs };
    await this.#write(key, backup, runningStatus(backup, state, this.#tools.clock()), signal);
    live.written(state.node);
    return undefined;
  }

  async #finish(
    key: string,
    backup: EtcdBackup,
    live: LiveRun,
    end: RunEnd,
    signal: AbortSignal,
  ): Promise<Again | undefined> {
    signal.throwIfAborted();
    const { limits = ATTEMPT_LIMITS } = this.#options;
    const at = { ...backup, status: runningStatus(backup, live.state, this.#tools.clock()) };
    const { attempts = 1 } = backup.status?.source ?? {};
    const pauseMs =
      'error' in end ? nextAttemptMs(end.error, attempts, limits, this.#tools.random) : undefined;
    if (pauseMs === undefined) return this.#end(key, backup, end, signal, at);
    const error = 'error' in end ? end.error : undefined;
    const now = this.#tools.clock();
    const again = new Date(now.getTime() + pauseMs);
    await this.#write(key, backup, waitingStatus(at, error, again, now), signal);
    tellRetry(this.#tools, backup, error, pauseMs);
    this.#pauses.set(live.uid, performance.now() + pauseMs);
    this.#live.delete(key);
    return { afterMs: pauseMs };
  }

  /** For good. `at`: what the run told last, on top of what is written. */
  async #end(
    key: string,
    backup: EtcdBackup,
    end: RunEnd,
    signal: AbortSignal,
    at: EtcdBackup = backup,
  ): Promise<undefined> {
    const now = this.#tools.clock();
    const status = 'error' in end ? failedStatus(at, end.error, now) : completedStatus(at, end.result, now);
    const written = await this.#write(key, backup, status, signal);
    this.#live.delete(key);
    this.#pauses.delete(backup.metadata.uid ?? '');
    this.#written.delete(key);
    this.#metrics.ended(backup, status);
    this.#metrics.seen(key, written);
    tellEnd(this.#tools, written, status, end);
  }

  async #write(
    key: string,
    backup: EtcdBackup,
    status: EtcdBackupStatus,
    signal: AbortSignal,
  ): Promise<EtcdBackup> {
    const { namespace, name } = splitKey(key);
    const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
    const written = await writeStatus(this.#tools.kube, reference, backup, status, { signal });
    this.#written.set(key, performance.now());
    return written;
  }

  #untilWrite(key: string): number {
    return Math.max(0, (this.#written.get(key) ?? -Infinity) + WRITE_MS - performance.now());
  }

  #drop(key: string, live: LiveRun | undefined, reason: GuardianError): void {
    live?.cancel(reason);
    this.#live.delete(key);
    this.#written.delete(key);
  }
}

const DELETED = new GuardianError('controlplane.cancelled', 'the EtcdBackup was deleted');

function cancellation({ metadata }: EtcdBackup): GuardianError | undefined {
  const reason = metadata.annotations?.[CANCEL_ANNOTATION];
  if (reason === undefined) return undefined;
  return new GuardianError('controlplane.cancelled', `it was cancelled: ${reason.slice(0, 200)}`, {
    hint: 'Nothing was kept of it.',
  });
}
