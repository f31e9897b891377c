import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { Reflector } from '../../lib/kubernetes/reflector.ts';
import { failureOf } from '../backup/backup-status.ts';
import type { BackupWatch } from '../backup/backup-watch.ts';
import type { Again } from '../controller.ts';
import { PODS } from '../core-resources.ts';
import type { RestoreWatch } from '../restore/restore-watch.ts';
import type { ScheduleWatch } from '../schedule/schedule-watch.ts';
import { chooseDrill, type RefusedDrill, type WantedDrill } from './choose-drill.ts';
import { createDrillJob } from './create-drill-job.ts';
import { DRILL_SELECTOR, type Job, JOBS, orderOf } from './drill-job.ts';
import { GRACE_MS, type JobState, stateOfJob } from './drill-jobs.ts';
import { DrillMetrics } from './drill-metrics.ts';
import {
  type DrillOutcome,
  drillOutcome,
  type DrillPod,
  mayRun,
  notBegun,
  notEnded,
} from './drill-outcome.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';
import { DrillRecords } from './drill-records.ts';
import { drillSeries, type DrillSeries, lastDrill, lastHeldMs, recordOf } from './drill-series.ts';
import { DrillFollower } from './follow-drill.ts';
import { isFinal } from './is-final.ts';
import { endOf } from './job-end.ts';
import { type DrillTools, prepareDrill } from './prepare-drill.ts';
import { PutOff } from './put-off.ts';
import { recordForParent, recordOfOutcome, recordOfRefusal } from './record-drill.ts';
import { tellBegun, tellDrill, tellPutOff, tellRefused } from './tell-drill.ts';

export interface DrillReconcilerParts {
  readonly tools: DrillTools;
  readonly pod: DrillPodSettings;
  readonly backups: BackupWatch;
  readonly schedules: ScheduleWatch;
  readonly restores: RestoreWatch;
  readonly jobs: Pick<Reflector<Job>, 'list'>;
  /** Default `performance.now`. */
  readonly monotonicMs?: () => number;
}

/** So often the pod of a drill is looked at. */
const LOOK_MS = 15_000;
/** Clocks are looked at so often, since they may step. */
const LONGEST_WAIT_MS = 600_000;
/** A write that our copies don't show yet. */
const SOON_MS = 500;

/** A Job of ours with its pods, and what is to be done about it. */
interface LookedAt {
  readonly job: Job;
  readonly pods: readonly DrillPod[];
  readonly state: JobState;
}

/**
 * Of one leadership. Whatever it writes, whoever leads next goes on from there: names of Jobs follow from what statuses
 * tell, and a Secret that is missing is made for a Job that waits for it.
 */
export class DrillReconciler {
  readonly metrics: DrillMetrics;
  readonly #parts: DrillReconcilerParts;
  readonly #tools: DrillTools;
  readonly #records: DrillRecords;
  readonly #follower: DrillFollower;
  readonly #putOff: PutOff;

  constructor(parts: DrillReconcilerParts) {
    const { tools, pod, monotonicMs = () => performance.now() } = parts;
    this.#parts = parts;
    this.#tools = tools;
    this.metrics = new DrillMetrics(tools.metrics);
    this.#records = new DrillRecords(tools, monotonicMs);
    this.#follower = new DrillFollower(tools, pod);
    this.#putOff = new PutOff(monotonicMs);
  }

  async reconcile(signal: AbortSignal): Promise<Again | undefined> {
    const now = this.#tools.clock();
    const { backups, schedules } = this.#records.seen(
      this.#parts.backups.list(),
      this.#parts.schedules.list(),
    );
    const series = drillSeries(backups, schedules);
    this.metrics.seen(series, now);

    // 1. What could not be written?
    const retryMs = await this.#records.retry(signal);
    const putOffMs = this.#putOff.keep(backups);
    const again = (afterMs: number): Again => ({ afterMs: Math.min(afterMs, retryMs, putOffMs) });

    // 2. What was begun?
    const jobs = this.#parts.jobs.list();
    this.#follower.keep(jobs);
    const pods = jobs.length === 0 ? [] : await this.#pods(signal);
    const looked = jobs.map((job) => this.#lookAt(job, pods, backups, now));
    for (const one of looked) if (await this.#finish(one, series, signal)) return again(SOON_MS);

    // 3. Do parents know?
    for (const one of series) await this.#remember(one, now, signal);

    // 4. What is due?
    const everyMs = this.#tools.settings.drillsEveryMs;
    const choice = chooseDrill(backups, series, everyMs, now, (backup) => this.#putOff.has(backup));
    for (const refused of choice.refused) await this.#refuse(refused, now, signal);

    // 5. One at a time.
    const isBusy = await this.#follow(looked, signal);
    if (isBusy) return again(LOOK_MS);
    // Its end wakes us.
    if (this.#parts.restores.list().some(isUnderWay)) return again(LONGEST_WAIT_MS);
    if (choice.drill !== undefined) {
      if (await this.#isAnotherUnderWay(jobs, now, signal)) return again(LOOK_MS);
      return again(await this.#begin(choice.drill, series, signal));
    }
    const waitMs = choice.nextMs === undefined ? LONGEST_WAIT_MS : choice.nextMs - now.getTime();
    return again(Math.max(1, Math.min(LONGEST_WAIT_MS, waitMs)));
  }

  #lookAt(job: Job, all: readonly DrillPod[], backups: readonly EtcdBackup[], now: Date): LookedAt {
    const wanted = orderOf(job)?.backup;
    const backup = backups.find(
      ({ metadata: { namespace, name } }) => namespace === wanted?.namespace && name === wanted?.name,
    );
    const pods = all.filter(({ metadata }) => isOwnedBy(metadata, job));
    const startLimitMs = this.#tools.settings.drillsStartLimitMs;
    return { job, pods, state: stateOfJob(job, { pods, backup, now, startLimitMs }) };
  }

  /** Writes down what has ended, and ends what can't begin. Resolves to whether there was such a thing. */
  async #finish(
    { job, pods, state }: LookedAt,
    series: readonly DrillSeries[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const seen = this.#follower.troubleOf(job);
    if (state.kind === 'ended') {
      await this.#record(state.backup, drillOutcome(job, pods, seen), state.requested, series, signal);
      return true;
    }
    if (state.kind !== 'late' && state.kind !== 'lost') return false;
    const { namespace, kube, settings } = this.#tools;
    const { name, uid, resourceVersion } = job.metadata;
    // First: whatever becomes of it now is nothing that we know of. With its pods, and nothing begins before they are gone.
    const only = { uid, resourceVersion, propagation: 'Foreground', signal } as const;
    await kube.delete({ resource: JOBS, namespace, name }, only);
    const outcome =
      state.kind === 'late'
        ? notBegun(job, pods, seen, settings.drillsStartLimitMs)
        : notEnded(job, state.overMs);
    if (state.backup) await this.#record(state.backup, outcome, state.requested, series, signal);
    else this.#tools.log.write('warning', 'drill-removed', `Job ${name}: ${outcome.message}`, { job: name });
    return true;
  }

  /** Resolves to whether a drill goes on, or may yet. */
  async #follow(looked: readonly LookedAt[], signal: AbortSignal): Promise<boolean> {
    let isBusy = false;
    for (const { job, pods, state } of looked) {
      isBusy ||= state.kind === 'active' || state.kind === 'leaving';
      if (state.kind === 'active') await this.#follower.follow(job, state.backup, pods, signal);
    }
    return isBusy;
  }

  /**
   * What our copy of the Jobs doesn't show: one that was made just now, perhaps by a call whose answer was lost; a pod whose
   * Job was deleted, since nobody waits for its end then, for as long as a drill may take.
   */
  async #isAnotherUnderWay(known: readonly Job[], now: Date, signal: AbortSignal): Promise<boolean> {
    const { kube, namespace, settings } = this.#tools;
    const { items } = await kube.list<Job>(JOBS, { namespace, labelSelector: DRILL_SELECTOR, signal });
    const uids = new Set(known.map(({ metadata: { uid } }) => uid));
    if (items.some((job) => !uids.has(job.metadata.uid) && endOf(job) === undefined)) return true;
    const pods = await this.#pods(signal);
    const goneMs = now.getTime() - GRACE_MS;
    return pods.some(
      (pod) =>
        pod.status?.phase === 'Running' &&
        mayRun(pod, goneMs) &&
        (orderOf(pod)?.at.getTime() ?? 0) + settings.drillsDeadlineMs >= goneMs &&
        !items.some((job) => isOwnedBy(pod.metadata, job)),
    );
  }

  /** The Job first, and then its Secret, which it owns; the pod waits for that. Resolves to how long to wait then. */
  async #begin(wanted: WantedDrill, series: readonly DrillSeries[], signal: AbortSignal): Promise<number> {
    const { backup, requested } = wanted;
    const { pod } = this.#parts;
    try {
      const order = await prepareDrill(wanted, pod, this.#tools, signal);
      const job = await createDrillJob(order, wanted, pod, this.#tools, signal);
      this.#putOff.remove(backup);
      tellBegun(this.#tools, backup, job.metadata.name);
      // The Job is there, and its drill is written down when it ends.
      await this.#follower.supply(job, order, signal);
      return LOOK_MS;
    } catch (error) {
      // Our copy shows it in a moment, and wakes us.
      if (hasCode(error, 'kubernetes.exists')) return LOOK_MS;
      signal.throwIfAborted();
      const { message } = failureOf(error);
      if (error instanceof GuardianError && !isFinal(error)) {
        // Nothing is to be had while our own API server is away.
        if (error.code === 'kubernetes.unreachable') throw error;
        this.#putOff.add(backup);
        tellPutOff(this.#tools, backup, message);
        return SOON_MS;
      }
      const outcome = { ...NOT_HELD, message: `the drill could not be begun: ${message}` };
      await this.#record(backup, outcome, requested, series, signal);
      return SOON_MS;
    }
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
    const record = recordOfOutcome(backup, outcome, { requested, before: failed, now });
    const tell = (): void => {
      this.metrics.recorded(record.drill);
      tellDrill(this.#tools, backup, series?.parent, record.drill);
    };
    await this.#records.write(backup, record, tell, signal);
  }

  /** A parent outlives its runs, and what is known of their drills. */
  async #remember(series: DrillSeries, now: Date, signal: AbortSignal): Promise<void> {
    const { parent } = series;
    const last = lastDrill(series, now);
    if (parent === undefined || last?.of === undefined) return;
    if (recordOf(parent).drill?.time === last.drill.time) return;
    const of = { run: last.of.metadata.name, heldMs: lastHeldMs(series, now) };
    const record = recordForParent(parent, last.drill, of);
    await this.#records.write(parent.object, record, () => undefined, signal);
  }

  async #refuse(
    { backup, requested, why, hint }: RefusedDrill,
    now: Date,
    signal: AbortSignal,
  ): Promise<void> {
    const message = `it can't be drilled: ${why}. ${hint}`;
    const record = recordOfRefusal(backup, { requested, message, now });
    const tell = (): void => {
      tellRefused(this.#tools, backup, message);
    };
    await this.#records.write(backup, record, tell, signal);
  }

  async #pods(signal: AbortSignal): Promise<readonly DrillPod[]> {
    const { kube, namespace } = this.#tools;
    const { items } = await kube.list<DrillPod>(PODS, { namespace, labelSelector: DRILL_SELECTOR, signal });
    return items;
  }
}

function isOwnedBy({ ownerReferences = [] }: DrillPod['metadata'], { metadata: { uid } }: Job): boolean {
  return ownerReferences.some((owner) => owner.uid === uid);
}

/** What a restore needs of a node, no drill takes from it. */
function isUnderWay({ status }: EtcdRestore): boolean {
  return UNDER_WAY.has(status?.phase ?? '');
}

const UNDER_WAY: ReadonlySet<string> = new Set(['Quiescing', 'Restoring', 'Validating']);

const NOT_HELD = { result: 'Unknown', endedAt: undefined, figures: {} } as const;
