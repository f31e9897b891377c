import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { Reflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { failureOf } from '../backup/backup-status.ts';
import type { BackupWatch } from '../backup/backup-watch.ts';
import type { Again } from '../controller.ts';
import { PODS, SECRETS } from '../core-resources.ts';
import type { RestoreWatch } from '../restore/restore-watch.ts';
import type { ScheduleWatch } from '../schedule/schedule-watch.ts';
import { chooseDrill, type RefusedDrill, type WantedDrill } from './choose-drill.ts';
import { DRILL_SELECTOR, drillJob, drillSecret, type Job, JOBS, orderOf } from './drill-job.ts';
import { type JobState, stateOfJob } from './drill-jobs.ts';
import { DrillMetrics } from './drill-metrics.ts';
import type { DrillOrder } from './drill-order.ts';
import {
  type DrillOutcome,
  drillOutcome,
  type DrillPod,
  hasMounted,
  silenceOf,
  troubleOf,
} from './drill-outcome.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';
import { SERVED_ANNOTATION } from './drill-request.ts';
import { drillSeries, type DrillSeries, lastDrill, lastHeldMs, recordOf } from './drill-series.ts';
import { type DrillTools, prepareDrill } from './prepare-drill.ts';
import { recordDrill, recordRefusal, rememberDrill } from './record-drill.ts';
import { tellBegun, tellDrill, tellRefused, tellWaiting } from './tell-drill.ts';

export interface DrillReconcilerParts {
  readonly tools: DrillTools;
  readonly pod: DrillPodSettings;
  readonly backups: BackupWatch;
  readonly schedules: ScheduleWatch;
  readonly restores: RestoreWatch;
  readonly jobs: Pick<Reflector<Job>, 'list'>;
}

/** So often the pod of a drill is looked at. */
const LOOK_MS = 15_000;
/** Clocks are looked at so often, since they may step. */
const LONGEST_WAIT_MS = 600_000;
/** What keeps a pod from running for so long is told. */
const PATIENCE_MS = 120_000;
/** A write that our copies don't show yet. */
const SOON_MS = 500;
/** A Secret of that name may be that of a Job which was deleted, and go with it. */
const SUPPLY_AGAIN_MS = 300_000;
/** So long a status that can't be written is left alone. */
const UNWRITABLE_MS = 3_600_000;

/**
 * Of one leadership. Whatever it writes, whoever leads next goes on from there: names of Jobs follow from what statuses
 * tell, and a Secret that is missing is made for a Job that waits for it.
 */
export class DrillReconciler {
  readonly metrics: DrillMetrics;
  readonly #parts: DrillReconcilerParts;
  readonly #tools: DrillTools;
  /** By name of the Job: until when its Secret needs no look, by the monotonic clock. */
  readonly #supplied = new Map<string, number>();
  /** By name of the Job: what keeps its pod from running, and whether that was told. */
  readonly #troubles = new Map<string, { readonly why: string; told: boolean }>();
  /** By uid: until when nothing is done about an object whose status can't be written. */
  readonly #unwritable = new Map<string, number>();

  constructor(parts: DrillReconcilerParts) {
    this.#parts = parts;
    this.#tools = parts.tools;
    this.metrics = new DrillMetrics(parts.tools.metrics);
  }

  async reconcile(signal: AbortSignal): Promise<Again | undefined> {
    const { schedules, jobs } = this.#parts;
    const { settings } = this.#tools;
    const now = this.#tools.clock();
    const backups = this.#parts.backups.list().filter((backup) => this.#isWritable(backup));
    const series = drillSeries(backups, schedules.list());
    this.metrics.seen(series, now);

    // 1. What was begun?
    const states = jobs.list().map((job) => ({ job, state: this.#stateOf(job, now) }));
    for (const { job, state } of states)
      if (state.kind === 'ended' || state.kind === 'lost') {
        await this.#finish(job, state, series, signal);
        return { afterMs: SOON_MS };
      }
    const active = states.find(({ state }) => state.kind === 'active');
    for (const name of [...this.#supplied.keys(), ...this.#troubles.keys()])
      if (!states.some(({ job }) => job.metadata.name === name)) this.#forget(name);

    // 2. Do parents know?
    for (const one of series) await this.#remember(one, now, signal);

    // 3. What is due?
    const choice = chooseDrill(backups, series, settings.drillsEveryMs, now);
    for (const refused of choice.refused) await this.#refuse(refused, now, signal);
    if (active?.state.kind === 'active') return this.#follow(active.job, active.state.backup, signal);
    // Its end wakes us.
    if (this.#parts.restores.list().some(isUnderWay)) return { afterMs: LONGEST_WAIT_MS };
    if (choice.drill !== undefined) return this.#begin(choice.drill, series, signal);
    const waitMs = choice.nextMs === undefined ? LONGEST_WAIT_MS : choice.nextMs - now.getTime();
    return { afterMs: Math.max(1, Math.min(LONGEST_WAIT_MS, waitMs)) };
  }

  #stateOf(job: Job, now: Date): JobState {
    const { namespace = '', name = '' } = orderOf(job)?.backup ?? {};
    const backup = this.#parts.backups.get(`${namespace}/${name}`);
    return stateOfJob(job, backup && this.#isWritable(backup) ? backup : undefined, now);
  }

  /** The Job first, and then its Secret, which it owns; the pod waits for that. */
  async #begin(wanted: WantedDrill, series: readonly DrillSeries[], signal: AbortSignal): Promise<Again> {
    const { backup, requested } = wanted;
    try {
      const order = await prepareDrill(wanted, this.#parts.pod, this.#tools, signal);
      const job = await this.#createJob(order, requested, signal);
      tellBegun(this.#tools, backup, order.name);
      // The Job is there, and its drill is written down when it ends.
      const missing = await this.#whyUnsupplied(job, () => this.#supply(order, job, signal), signal);
      this.#note(order.name, missing, false);
      return { afterMs: LOOK_MS };
    } catch (error) {
      // Our copy shows it in a moment, and wakes us.
      if (hasCode(error, 'kubernetes.exists')) return { afterMs: LOOK_MS };
      signal.throwIfAborted();
      if (error instanceof GuardianError && !isFinal(error)) throw error;
      const { message } = failureOf(error);
      const outcome = { ...NOT_HELD, message: `the drill could not be begun: ${message}` };
      await this.#record(backup, outcome, requested, series, signal);
      return { afterMs: SOON_MS };
    }
  }

  /** Rejects with `kubernetes.exists` where another replica had begun it, or somebody's Job is in the way. */
  async #createJob(order: DrillOrder, requested: string | undefined, signal: AbortSignal): Promise<Job> {
    const { kube, namespace, settings } = this.#tools;
    const job = drillJob(order, {
      ...{ namespace, deadlineMs: settings.drillsDeadlineMs, serviceAccount: settings.drillsServiceAccount },
      pod: this.#parts.pod,
    });
    const { annotations } = job.metadata;
    const served = requested === undefined ? {} : { [SERVED_ANNOTATION]: requested };
    const asked = { ...job, metadata: { ...job.metadata, annotations: { ...annotations, ...served } } };
    try {
      return await kube.create<Job>(JOBS, namespace, asked, { signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      const fieldSelector = `metadata.name=${order.name}`;
      const { items } = await kube.list<Job>(JOBS, { namespace, fieldSelector, signal });
      const [there] = items;
      if (there === undefined || orderOf(there)?.backup.uid === order.backup.uid) throw error;
      throw new GuardianError('controlplane.drill', `a Job ${order.name} that is not ours is in the way`, {
        hint: `Delete it: kubectl delete job ${order.name} -n ${namespace}`,
        cause: error,
      });
    }
  }

  async #supply(order: DrillOrder, job: Job, signal: AbortSignal): Promise<void> {
    const { kube, namespace } = this.#tools;
    const owner = { name: job.metadata.name, uid: job.metadata.uid ?? '' };
    let untilMs = Infinity;
    try {
      await kube.create(SECRETS, namespace, drillSecret(order, owner, namespace), { signal });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      untilMs = performance.now() + SUPPLY_AGAIN_MS;
    }
    this.#supplied.set(job.metadata.name, untilMs);
  }

  /** Looks after a Job that another replica may have begun, and tells what keeps it from running. */
  async #follow(job: Job, backup: EtcdBackup | undefined, signal: AbortSignal): Promise<Again> {
    const { name } = job.metadata;
    const pods = await this.#podsOf(job, signal);
    const runs = pods.some(hasMounted);
    if (runs) this.#supplied.set(name, Infinity);
    const isDue = (this.#supplied.get(name) ?? 0) <= performance.now();
    const missing = backup !== undefined && isDue ? await this.#supplyLate(job, backup, signal) : undefined;
    this.#note(name, missing ?? pods.map(troubleOf).find((one) => one !== undefined), runs);
    const isLate = this.#tools.clock().getTime() - (orderOf(job)?.at.getTime() ?? 0) > PATIENCE_MS;
    if (isLate && !runs && !this.#troubles.has(name)) this.#note(name, silenceOf(job), runs);
    const trouble = this.#troubles.get(name);
    if (backup !== undefined && trouble?.told === false && isLate) {
      trouble.told = true;
      tellWaiting(this.#tools, backup, name, trouble.why);
    }
    return { afterMs: LOOK_MS };
  }

  /** What a pod said before it was taken away is what its Job ended for. */
  #note(name: string, why: string | undefined, runs: boolean): void {
    const known = this.#troubles.get(name);
    if (why === undefined) {
      if (runs) this.#troubles.delete(name);
    } else if (known?.why !== why) this.#troubles.set(name, { why, told: known?.told ?? false });
  }

  async #supplyLate(job: Job, backup: EtcdBackup, signal: AbortSignal): Promise<string | undefined> {
    const wanted = { backup, requested: job.metadata.annotations?.[SERVED_ANNOTATION] };
    const supply = async (): Promise<void> => {
      await this.#supply(await prepareDrill(wanted, this.#parts.pod, this.#tools, signal), job, signal);
    };
    return this.#whyUnsupplied(job, supply, signal);
  }

  /** Resolves to why there can be no Secret now; without it the pod waits until the deadline. */
  async #whyUnsupplied(
    { metadata: { name } }: Job,
    supply: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      await supply();
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!isFinal(error)) throw error;
      this.#supplied.set(name, performance.now() + SUPPLY_AGAIN_MS);
      return failureOf(error).message;
    }
  }

  async #finish(
    job: Job,
    state: JobState & { readonly kind: 'ended' | 'lost' },
    series: readonly DrillSeries[],
    signal: AbortSignal,
  ): Promise<void> {
    const { name } = job.metadata;
    const outcome =
      state.kind === 'ended'
        ? drillOutcome(job, await this.#podsOf(job, signal), this.#troubles.get(name)?.why)
        : lostOutcome(job, state.overMs);
    await this.#record(state.backup, outcome, state.requested, series, signal);
    this.#forget(name);
  }

  async #record(
    backup: EtcdBackup,
    outcome: DrillOutcome,
    requested: string | undefined,
    all: readonly DrillSeries[],
    signal: AbortSignal,
  ): Promise<void> {
    const now = this.#tools.clock();
    const series = all.find(({ runs }) => runs.includes(backup));
    const before = series && lastDrill(series, now);
    const failed = before?.drill.result === 'Unknown' ? (before.drill.attempts ?? 1) : 0;
    const news = { requested, before: failed, now };
    const drill = await this.#written(backup, () =>
      recordDrill(this.#tools.kube, backup, outcome, news, signal),
    );
    if (drill === undefined) return;
    this.metrics.recorded(drill);
    tellDrill(this.#tools, backup, series?.parent, drill);
  }

  /** A parent outlives its runs, and what is known of their drills. */
  async #remember(series: DrillSeries, now: Date, signal: AbortSignal): Promise<void> {
    const { parent } = series;
    const last = lastDrill(series, now);
    if (parent === undefined || last?.of === undefined || !this.#isWritable(parent.object)) return;
    if (recordOf(parent).drill?.time === last.drill.time) return;
    const of = { run: last.of.metadata.name, heldMs: lastHeldMs(series, now) };
    await this.#written(parent.object, () => rememberDrill(this.#tools.kube, parent, last.drill, of, signal));
  }

  async #refuse(
    { backup, requested, why, hint }: RefusedDrill,
    now: Date,
    signal: AbortSignal,
  ): Promise<void> {
    const message = `it can't be drilled: ${why}. ${hint}`;
    const news = { requested, message, now };
    const drill = await this.#written(backup, () => recordRefusal(this.#tools.kube, backup, news, signal));
    if (drill !== undefined) tellRefused(this.#tools, backup, message);
  }

  async #podsOf(job: Job, signal: AbortSignal): Promise<DrillPod[]> {
    const { namespace } = this.#tools;
    const { items } = await this.#tools.kube.list<DrillPod>(PODS, {
      ...{ namespace, labelSelector: DRILL_SELECTOR, signal },
    });
    return items.filter(({ metadata }) =>
      metadata.ownerReferences?.some(({ uid }) => uid === job.metadata.uid),
    );
  }

  /** One status that the API server refuses must not hold up all drills: then undefined, and it is left alone for a while. */
  async #written<T>(
    { kind, metadata }: EtcdBackup | EtcdBackupSchedule,
    write: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await write();
    } catch (error) {
      if (!isFinal(error)) throw error;
      const { namespace = '', name, uid = '' } = metadata;
      this.#unwritable.set(uid, performance.now() + UNWRITABLE_MS);
      const text = `${kind} ${namespace}/${name}: how its drill went can't be written: ${errorText(error)}`;
      this.#tools.log.write('error', 'drill-not-written', text, errorFields(error));
      return undefined;
    }
  }

  #isWritable({ metadata }: EtcdBackup | EtcdBackupSchedule): boolean {
    return (this.#unwritable.get(metadata.uid ?? '') ?? 0) <= performance.now();
  }

  #forget(name: string): void {
    this.#supplied.delete(name);
    this.#troubles.delete(name);
  }
}

/** What a restore needs of a node, no drill takes from it. */
function isUnderWay({ status }: EtcdRestore): boolean {
  return UNDER_WAY.has(status?.phase ?? '');
}

const UNDER_WAY: ReadonlySet<string> = new Set(['Quiescing', 'Restoring', 'Validating']);

const NOT_HELD = { result: 'Unknown', endedAt: undefined, figures: {} } as const;

function lostOutcome(job: Job, overMs: number): DrillOutcome {
  const { at } = orderOf(job) ?? {};
  const { name, namespace = '' } = job.metadata;
  return {
    ...{ result: 'Unknown', endedAt: new Date(overMs), figures: {} },
    message: `Job ${name}, begun at ${at?.toISOString() ?? ''}, never told an end: it came back with a restored etcd, or nobody runs Jobs. Look at it: kubectl describe job ${name} -n ${namespace}`,
  };
}

/** What comes right by no trying: what is missing or not allowed. Everything else is tried again at once. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof GuardianError) || error.retryable) return false;
  return !error.code.startsWith('kubernetes.') || REFUSED.has(error.code);
}

const REFUSED: ReadonlySet<string> = new Set([
  'kubernetes.forbidden',
  'kubernetes.invalid',
  'kubernetes.refused',
]);
