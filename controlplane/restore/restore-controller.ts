import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreStatus } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import { splitKey } from '../../lib/kubernetes/object-key.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { Budgets } from '../../lib/restore/cluster/coordinate-restore.ts';
import { nextMove } from '../../lib/restore/cluster/next-move.ts';
import type { Again, Controller } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { bringBack, OPERATION_ANNOTATION, operationOf } from './bring-back.ts';
import { leadRestore } from './lead-restore.ts';
import {
  isOver,
  lastCommit,
  type RememberedRestore,
  rememberedRestores,
  reportOf,
} from './remembered-restores.ts';
import { isUnderWay, type RestoreReport } from './restore-report.ts';
import type { RestoreRun, RestoreRuns } from './restore-runs.ts';
import { restoreStatus } from './restore-status.ts';
import { type RestoreWatch, restoreWatch } from './restore-watch.ts';
import { tellRestoreEnd, tellRestoreStart } from './tell-restore.ts';

export interface RestoreControllerOptions {
  /** Of the process: restores outlive leaderships. */
  readonly runs: RestoreRuns;
  readonly budgets?: Partial<Budgets> | undefined;
}

const WRITE_MS = 5_000;
const CONFLICT_MS = 200;
/** A restored API server first has to find its agents again. */
const SURVEY_MS = 5_000;
/** For so long after its end a restore that the API doesn't know any more is told there again. */
const BRING_BACK_MS = 30 * 60_000;

/** Does each EtcdRestore once, and tells how it ended though the API server was away meanwhile. */
export function restoreController(tools: ControlPlaneTools, options: RestoreControllerOptions): Controller {
  let current: RestoreReconciler | undefined;
  return {
    name: 'restore',
    workers: 4,
    async start(queue, signal) {
      const restores = restoreWatch(tools, signal);
      restores.listen((key) => {
        queue.add(key);
      });
      current = new RestoreReconciler(tools, options, restores, signal);
      const stop = options.runs.listen((key) => {
        queue.add(key);
      });
      signal.addEventListener('abort', stop, { once: true });
      await restores.synced;
      for (const { key } of options.runs.list()) queue.add(key);
      const ended = tools.agents.onChange(() => {
        for (const key of current?.forgotten() ?? []) queue.add(key);
      });
      signal.addEventListener('abort', ended, { once: true });
      for (const key of current.forgotten()) queue.add(key);
    },
    reconcile: async (key, signal) => current?.reconcile(key, signal),
  };
}

/** Of one leadership. */
class RestoreReconciler {
  readonly #tools: ControlPlaneTools;
  readonly #options: RestoreControllerOptions;
  readonly #restores: RestoreWatch;
  readonly #leading: AbortSignal;
  readonly #written = new Map<string, { readonly atMs: number; readonly step: string }>();
  /** Operations that were told, or can't be. */
  readonly #settled = new Set<string>();

  constructor(
    tools: ControlPlaneTools,
    options: RestoreControllerOptions,
    restores: RestoreWatch,
    leading: AbortSignal,
  ) {
    this.#tools = tools;
    this.#options = options;
    this.#restores = restores;
    this.#leading = leading;
  }

  /** Keys of restores that the agents remember and the API doesn't. */
  forgotten(): string[] {
    return rememberedRestores(this.#tools.agents.list()).flatMap(({ operation, subject, states }) => {
      const key = subject === undefined ? '' : `${subject.namespace}/${subject.name}`;
      const isRecent = [...states.values()].some(
        ({ committedMs }) => this.#tools.clock().getTime() - committedMs < BRING_BACK_MS,
      );
      return key === '' || !isRecent || this.#settled.has(operation) || this.#restores.get(key) !== undefined
        ? []
        : [key];
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Again | undefined> {
    try {
      return await this.#step(key, signal);
    } catch (error) {
      if (hasCode(error, 'kubernetes.conflict')) return { afterMs: CONFLICT_MS };
      throw error;
    }
  }

  async #step(key: string, signal: AbortSignal): Promise<Again | undefined> {
    const restore = this.#restores.get(key);
    const run = this.#options.runs.get(key);

    // 1. One that this process leads, or has led.
    if (run !== undefined && !run.told) return await this.#follow(key, restore, run, signal);

    // 2. One that the API lost and the agents remember.
    if (restore === undefined) {
      await this.#remember(key, signal);
      return;
    }

    // 3. One that has ended, or goes.
    const { phase } = restore.status ?? {};
    if (phase === 'Completed' || phase === 'Failed') {
      // Known to the API: whoever deletes it now means it.
      this.#settled.add(operationOf(restore));
      return undefined;
    }
    if (restore.metadata.deletionTimestamp !== undefined) return undefined;

    // 4. One to do, or to go on with.
    return await this.#begin(key, restore, signal);
  }

  async #follow(
    key: string,
    restore: EtcdRestore | undefined,
    run: RestoreRun,
    signal: AbortSignal,
  ): Promise<Again | undefined> {
    const { report, subject } = run;
    if (report.end !== undefined) {
      if (subject === undefined) await this.#end(key, restore, report, signal);
      else await this.#tell(subject, restore, report, signal);
      run.told = true;
      return undefined;
    }
    const gone = restore === undefined || operationOf(restore) !== run.operation;
    // While nothing is stopped the API tells the truth: it was deleted.
    if (gone && EARLY.has(report.step)) run.cancel(DELETED);
    if (gone) return undefined;
    const written = this.#written.get(key);
    const waitMs = (written?.atMs ?? -Infinity) + WRITE_MS - performance.now();
    if (written?.step === report.step && waitMs > 0) return { afterMs: waitMs };
    this.#written.set(key, { atMs: performance.now(), step: report.step });
    await this.#write(key, restore, restoreStatus(restore, report, this.#tools.clock()), signal);
    return undefined;
  }

  async #remember(key: string, signal: AbortSignal): Promise<undefined> {
    const remembered = rememberedRestores(this.#tools.agents.list());
    const lost = remembered.find(
      ({ subject }) => subject !== undefined && `${subject.namespace}/${subject.name}` === key,
    );
    if (lost?.subject === undefined || this.#settled.has(lost.operation)) return undefined;
    if (isOver(lost)) await this.#tell(lost.subject, undefined, reportOf(lost, this.#tools.clock()), signal);
    return undefined;
  }

  async #begin(key: string, restore: EtcdRestore, signal: AbortSignal): Promise<Again | undefined> {
    const agents = await this.#tools.agents.survey(SURVEY_MS, signal);
    const remembered = rememberedRestores(agents);
    const operation = operationOf(restore);
    const own = remembered.find((one) => one.operation === operation);
    const now = this.#tools.clock();

    // 1. Done, or begun, by whoever led before.
    if (own !== undefined) {
      const move = nextMove([...own.states.values()]);
      if (move === 'over') {
        await this.#end(key, restore, reportOf(own, now), signal);
        return undefined;
      }
      if (move !== 'begin') {
        leadRestore(restore, move, own.nodes, this.#leadTools());
        return undefined;
      }
    }
    // 2. Brought back from the past by another one: it had its time.
    const refusal = this.#refusal(restore, remembered);
    if (refusal !== undefined) {
      await this.#end(key, restore, refused(operation, refusal, now), signal);
      return undefined;
    }
    // 3. Now.
    tellRestoreStart(this.#tools, restore);
    leadRestore(restore, 'begin', own?.nodes ?? [], this.#leadTools());
    return undefined;
  }

  #refusal(restore: EtcdRestore, remembered: readonly RememberedRestore[]): GuardianError | undefined {
    const operation = operationOf(restore);
    const { annotations, creationTimestamp } = restore.metadata;
    const commit = lastCommit(remembered, operation);
    const created = new Date(creationTimestamp ?? 0);
    if (annotations?.[OPERATION_ANNOTATION] !== undefined || (commit !== undefined && created <= commit.at))
      return broughtBack(commit?.operation ?? operation);
    const other = this.#options.runs
      .list()
      .find((run) => isUnderWay(run.report) && run.operation !== operation);
    return other === undefined ? undefined : meanwhile(other.key);
  }

  /** Writes how it ended; where the API forgot it, it is made again. */
  async #tell(
    subject: NonNullable<RestoreRun['subject']>,
    present: EtcdRestore | undefined,
    report: RestoreReport,
    signal: AbortSignal,
  ): Promise<void> {
    const { kube, clock, log } = this.#tools;
    try {
      const told = await bringBack(kube, subject, present, report, clock(), signal);
      this.#settled.add(report.operation);
      if (told !== undefined) tellRestoreEnd(this.#tools, told.restore, told.status);
    } catch (error) {
      if (!hasCode(error, 'restore.not-told')) throw error;
      this.#settled.add(report.operation);
      log.write('warning', 'restore-not-told', errorText(error), errorFields(error));
    }
  }

  async #end(
    key: string,
    restore: EtcdRestore | undefined,
    report: RestoreReport,
    signal: AbortSignal,
  ): Promise<void> {
    if (restore === undefined || operationOf(restore) !== report.operation) return;
    const status = restoreStatus(restore, report, this.#tools.clock());
    const written = await this.#write(key, restore, status, signal);
    tellRestoreEnd(this.#tools, written, status);
  }

  async #write(
    key: string,
    restore: EtcdRestore,
    status: EtcdRestoreStatus,
    signal: AbortSignal,
  ): Promise<EtcdRestore> {
    const { namespace, name } = splitKey(key);
    const reference = { resource: ETCD_RESTORE_RESOURCE, namespace, name };
    return await writeStatus<EtcdRestoreStatus, EtcdRestore>(this.#tools.kube, reference, restore, status, {
      signal,
    });
  }

  #leadTools(): Parameters<typeof leadRestore>[3] {
    return {
      tools: this.#tools,
      runs: this.#options.runs,
      budgets: this.#options.budgets,
      leading: this.#leading,
    };
  }
}

/** Nothing is stopped yet, and the API server is there. */
const EARLY: ReadonlySet<string> = new Set(['Planning', 'Applying', 'Staging']);

const DELETED = new GuardianError('restore.deleted', 'the EtcdRestore was deleted', {
  hint: 'Nothing was stopped or changed.',
});

function refused(operation: string, failure: GuardianError, now: Date): RestoreReport {
  return {
    ...{ operation, step: 'Planning', message: '', term: 0n, startedAt: now, admitted: false },
    ...{
      source: undefined,
      plan: undefined,
      states: new Map(),
      end: { kind: 'refused', failure, all: [failure] },
    },
  };
}

function broughtBack(by: string): GuardianError {
  return new GuardianError(
    'restore.brought-back',
    `this EtcdRestore is older than the data that restore ${by} brought back, so it had its time`,
    { hint: 'To restore again, create another EtcdRestore.' },
  );
}

function meanwhile(key: string): GuardianError {
  return new GuardianError('restore.busy', `EtcdRestore ${key} is under way`, {
    hint: 'Wait until it has ended, then create another EtcdRestore.',
  });
}
