import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { errorFields } from '../../lib/log-lines.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { CANCEL_ANNOTATION } from '../backup/backup-controller.ts';
import { failureOf } from '../backup/backup-status.ts';
import type { Again } from '../controller.ts';
import type { EventTarget } from '../object-events.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { type Decision, decideRun } from './decide-run.ts';
import { runName } from './run-name.ts';
import { isRunOf, runObject, slotOf } from './run-object.ts';
import { activeRuns, newestFirst, type ScheduleNews, scheduleStatus, statusFor } from './schedule-status.ts';
import type { ScheduleSource } from './schedule-source.ts';
import { type Slots, slotsOf } from './slots.ts';

export interface ScheduleStep {
  readonly status: object;
  readonly again: Again | undefined;
}

/** What became of a slot: a run, nothing, or a refusal that its schedule tells. */
interface Begun {
  readonly run?: EtcdBackup;
  readonly refused?: ScheduleNews['scheduled'];
}

/** Clocks are looked at so often, since they may step. */
const LOOK_MS = 60_000;
/** Failed runs that are kept to be looked at; those that completed stay for as long as their data. */
const KEPT_FAILED = 10;

/** Begins runs, and tells how a schedule does. */
export class ScheduleReconciler {
  readonly #tools: ControlPlaneTools;
  /** By key: the last slot that was left out, so that it isn't made up for when it could be. */
  readonly #skipped = new Map<string, Date>();
  /** By key: for schedules of which everything else lies in the future. */
  readonly #firstSeen = new Map<string, Date>();

  constructor(tools: ControlPlaneTools) {
    this.#tools = tools;
  }

  forget(key: string): void {
    this.#skipped.delete(key);
    this.#firstSeen.delete(key);
  }

  async reconcile(
    key: string,
    source: ScheduleSource,
    backups: readonly EtcdBackup[],
    signal: AbortSignal,
  ): Promise<ScheduleStep> {
    const now = this.#tools.clock();
    const runs = backups.filter((backup) => isRunOf(backup, source.metadata.uid));
    let slots: Slots;
    try {
      slots = slotsOf(source.schedule, source.timeZone);
    } catch (error) {
      if (!hasCode(error, 'controlplane.schedule')) throw error;
      const { message } = failureOf(error);
      return this.#told(
        source,
        { runs, begunAt: undefined, next: undefined, scheduled: no('Malformed', message) },
        now,
      );
    }

    // 1. Is a run due?
    const decision = decideRun(
      {
        slots,
        suspended: source.suspend,
        concurrency: source.concurrency,
        deadlineMs: source.deadlineMs,
        since: this.#since(key, source, runs, now),
        active: activeRuns(runs).map(({ metadata }) => metadata.name),
      },
      now,
    );

    // 2. Begin it.
    const begun = decision.kind === 'run' ? await this.#begin(source, decision, slots, signal) : undefined;
    const began = begun?.run;
    if (decision.kind === 'skip') this.#skip(key, source, decision);
    await this.#pruneFailed(runs, signal);

    // 3. Tell.
    // A refusal stands until a run begins, also when it has become too late for its slot. That it began may have been
    // done by a look whose status could not be written.
    const refused = begun === undefined && !isRun(runs, slots.upTo(now)) ? refusalOf(source) : begun?.refused;
    const scheduled = decision.kind === 'suspended' ? no('Suspended', SUSPENDED) : (refused ?? YES);
    const next = decision.kind === 'suspended' ? undefined : decision.next;
    const all =
      began === undefined
        ? runs
        : [...runs.filter(({ metadata }) => metadata.uid !== began.metadata.uid), began];
    return this.#told(source, { runs: all, begunAt: began && now, next, scheduled }, now);
  }

  #told(source: ScheduleSource, news: ScheduleNews, now: Date): ScheduleStep {
    const status = statusFor(source, scheduleStatus(source, news, now));
    const { next } = news;
    const afterMs =
      next === undefined ? undefined : Math.min(LOOK_MS, Math.max(1, next.getTime() - now.getTime()));
    return { status, again: afterMs === undefined ? undefined : { afterMs } };
  }

  #since(key: string, { metadata, status }: ScheduleSource, runs: readonly EtcdBackup[], now: Date): Date {
    const { creationTimestamp, uid } = metadata;
    const scheduled = status.conditions?.find(({ type }) => type === 'Scheduled');
    // Who was suspended begins with the next slot after that.
    const resumed = scheduled?.reason === 'Suspended' ? now : undefined;
    const resumedAt = scheduled?.status === 'True' ? new Date(scheduled.lastTransitionTime) : undefined;
    const [last] = newestFirst(runs.filter((run) => isRunOf(run, uid)));
    const times = [
      creationTimestamp === undefined ? now : new Date(creationTimestamp),
      status.lastBackupTime === undefined ? undefined : new Date(status.lastBackupTime),
      last && slotOf(last),
      ...[resumed, resumedAt, this.#skipped.get(key)],
    ];
    // What lies in the future was written while the clock was wrong, and must not hold up runs until then.
    const past = times.flatMap((time) => (time === undefined || time > now ? [] : [time.getTime()]));
    const firstSeen = this.#firstSeen.get(key) ?? now;
    this.#firstSeen.set(key, firstSeen > now ? now : firstSeen);
    return past.length === 0 ? (this.#firstSeen.get(key) ?? now) : new Date(Math.max(...past));
  }

  async #begin(
    source: ScheduleSource,
    { slot, replace, missed }: Decision & { readonly kind: 'run' },
    slots: Slots,
    signal: AbortSignal,
  ): Promise<Begun> {
    const { events, log, kube } = this.#tools;
    const { namespace = '', name: parent, uid } = source.metadata;
    const name = runName(parent, slot, slots, source.timeZone);
    const about = target(source);
    const tellMissed = (): void => {
      if (missed === 0) return;
      const text = `${missed} runs could not begin in time; ${name} stands for all of them`;
      events.warning(about, 'RunsMissed', text);
    };
    const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
    const object = runObject(source, name, slot);
    const create = (dryRun: boolean): Promise<EtcdBackup> =>
      kube.create<EtcdBackup>(ETCD_BACKUP_RESOURCE, namespace, object, { dryRun, signal });
    try {
      // A run that is refused takes nobody's place.
      if (replace.length > 0) await create(true);
      for (const old of replace) await this.#cancel(namespace, old, name, signal);
      const run = await create(false);
      tellMissed();
      events.normal(about, 'RunBegun', `${name} was begun`);
      log.write('info', 'run-begun', `${source.kind} ${namespace}/${parent}: ${name} was begun`, { slot });
      return { run };
    } catch (error) {
      if (error instanceof GuardianError && REFUSED.has(error.code))
        return this.#refused(source, name, error);
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      const there = await kube.get<EtcdBackup>(reference, { signal });
      if (isRunOf(there, uid)) {
        tellMissed();
        return { run: there };
      }
      events.warning(
        about,
        'NameTaken',
        `an EtcdBackup ${name} that isn't a run of this schedule is in the way: this run is left out`,
      );
      this.#skipped.set(`${namespace}/${parent}`, slot);
      return {};
    }
  }

  /** It is tried again when the schedule is looked at next: rights, quotas and policies come back by themselves. */
  #refused(source: ScheduleSource, name: string, error: GuardianError): Begun {
    const { events, log } = this.#tools;
    const { namespace = '', name: parent } = source.metadata;
    // Without the time in it, so that what is refused each minute is one Event that counts.
    const why = failureOf(error).message.replaceAll(name, `${parent}-…`);
    const message = `runs can't be created: ${why}`;
    events.warning(target(source), REFUSAL, message);
    // Once: the status and the Event go on telling it.
    if (refusalOf(source) === undefined) {
      const text = `${source.kind} ${namespace}/${parent}: ${name} can't be created`;
      log.write('warning', 'run-refused', text, errorFields(error));
    }
    return { refused: no(REFUSAL, message) };
  }

  async #cancel(namespace: string, name: string, by: string, signal: AbortSignal): Promise<void> {
    const patch = { metadata: { annotations: { [CANCEL_ANNOTATION]: `replaced by ${by}` } } };
    try {
      await this.#tools.kube.mergePatch({ resource: ETCD_BACKUP_RESOURCE, namespace, name }, patch, {
        signal,
      });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.not-found')) throw error;
    }
  }

  #skip(key: string, source: ScheduleSource, { slot, why }: Decision & { readonly kind: 'skip' }): void {
    if (this.#skipped.get(key)?.getTime() === slot.getTime()) return;
    this.#skipped.set(key, slot);
    const text = {
      running: 'another run is still going on (concurrencyPolicy Forbid)',
      'too-late': 'it could not begin within startingDeadlineSeconds',
    }[why];
    this.#tools.events.warning(
      target(source),
      'RunSkipped',
      `the run of ${slot.toISOString()} is left out: ${text}`,
    );
  }

  async #pruneFailed(runs: readonly EtcdBackup[], signal: AbortSignal): Promise<void> {
    const failed = newestFirst(
      runs.filter(
        ({ metadata, status }) => status?.phase === 'Failed' && metadata.deletionTimestamp === undefined,
      ),
    );
    for (const { metadata } of failed.slice(KEPT_FAILED)) {
      const { namespace, name, uid } = metadata;
      try {
        await this.#tools.kube.delete({ resource: ETCD_BACKUP_RESOURCE, namespace, name }, { uid, signal });
      } catch (error) {
        if (!hasCode(error, 'kubernetes.not-found')) throw error;
      }
    }
  }
}

const REFUSED: ReadonlySet<string> = new Set([
  'kubernetes.forbidden',
  'kubernetes.invalid',
  'kubernetes.refused',
]);

const REFUSAL = 'RunRefused';
const SUSPENDED = 'suspended: no run begins until spec.suspend is false';
const YES = { status: 'True', reason: 'Scheduled', message: 'runs begin by the schedule' } as const;

function no(reason: string, message: string): ScheduleNews['scheduled'] {
  return { status: 'False', reason, message };
}

/** What its status tells of the last try; nothing once it asks for something else. */
function refusalOf({ metadata, status }: ScheduleSource): ScheduleNews['scheduled'] | undefined {
  const told = status.conditions?.find(({ type }) => type === 'Scheduled');
  const isNews = told?.observedGeneration !== metadata.generation;
  return told?.reason === REFUSAL && !isNews ? no(REFUSAL, told.message) : undefined;
}

function isRun(runs: readonly EtcdBackup[], slot: Date | undefined): boolean {
  return slot !== undefined && runs.some((run) => (slotOf(run)?.getTime() ?? -Infinity) >= slot.getTime());
}

function target({ apiVersion, kind, metadata }: ScheduleSource): EventTarget {
  return { apiVersion, kind, metadata };
}
