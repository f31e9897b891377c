import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import { errorText } from '../../lib/log-lines.ts';
import {
  type Budgets,
  concludeRestore,
  coordinateRestore,
  type CoordinatorTools,
  releaseStaged,
  type RestoreOutcome,
} from '../../lib/restore/cluster/coordinate-restore.ts';
import { connectNodes, type NodePlace } from '../../lib/restore/cluster/connect-nodes.ts';
import { HOLDER_PREFIX } from '../agents/agent-terms.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { judgeRestore } from './judge-restore.ts';
import { type Census, takeCensus } from './post-care/census.ts';
import { type PlannedRestore, planRestore } from './plan-restore.ts';
import { hookFailed, type HookCalls, hooksOf, type RestoreHooks, runRestoreHooks } from './restore-hooks.ts';
import { isUnderWay, type RestoreEnd, type RestoreReport } from './restore-report.ts';
import { isOfNamespaces, restoreNamespaces } from './restore-namespaces.ts';
import { type RestoreSource, restoreSource } from './restore-source.ts';
import type { RestoreRun, RestoreRuns } from './restore-runs.ts';
import { type RestoreSubject, subjectOf, subjectText } from './restore-subject.ts';

/** What of an earlier leader's restore there is to do, by what the agents tell. */
export type Beginning = 'begin' | 'conclude';

export interface LeadTools {
  readonly tools: ControlPlaneTools;
  readonly runs: RestoreRuns;
  readonly budgets?: Partial<Budgets> | undefined;
  /** Leadership: before anything is stopped, a leader that is none any more leads no restore either. */
  readonly leading: AbortSignal;
}

/** Begins to lead a restore in the background. It goes on through the absence of the API server that it stops. */
export function leadRestore(
  restore: EtcdRestore,
  beginning: Beginning,
  nodes: readonly NodePlace[],
  lead: LeadTools,
): RestoreRun {
  const run = new LedRestore(restore, lead);
  lead.runs.put(run);
  void run.lead(beginning, nodes);
  return run;
}

class LedRestore implements RestoreRun {
  readonly key: string;
  readonly operation: string;
  report: RestoreReport;
  subject: RestoreSubject | undefined;
  before: Census | undefined;
  told = false;
  readonly #restore: EtcdRestore;
  readonly #lead: LeadTools;
  readonly #cancelling = new AbortController();

  constructor(restore: EtcdRestore, lead: LeadTools) {
    this.#restore = restore;
    this.#lead = lead;
    this.key = keyOf(restore);
    this.operation = restore.metadata.uid ?? '';
    this.report = {
      ...{
        operation: this.operation,
        step: 'Planning',
        message: 'the plan is made',
        term: 0n,
        admitted: false,
      },
      ...{ startedAt: lead.tools.clock(), source: undefined, plan: undefined, end: undefined },
      states: new Map(),
    };
  }

  cancel(reason: unknown): void {
    this.#cancelling.abort(reason);
  }

  /** Never rejects. */
  async lead(beginning: Beginning, nodes: readonly NodePlace[]): Promise<void> {
    try {
      const end = beginning === 'begin' ? await this.#fromStart() : await this.#conclude(nodes);
      if (end.kind === 'refused') await this.#letGo(nodes, end.failure);
      this.#update({ end });
    } catch (failure) {
      // Nothing was begun, and whoever leads next begins anew.
      if (this.#lead.leading.aborted && !this.#cancelling.signal.aborted) this.#lead.runs.drop(this.key);
      else {
        await this.#letGo(nodes, failure);
        this.#update({ end: { kind: 'refused', failure, all: [failure] } });
      }
    }
  }

  /** What an earlier leader had staged for it makes room at once; by themselves the nodes wait some minutes for a leader. */
  async #letGo(places: readonly NodePlace[], failure: unknown): Promise<void> {
    if (places.length === 0) return;
    using nodes = connectNodes(places, this.#lead.tools);
    const tools = this.#coordinatorTools(this.#lead.leading);
    await releaseStaged({ operation: this.operation }, nodes.participants, tools, failure);
  }

  async #fromStart(): Promise<RestoreEnd> {
    const { tools, leading } = this.#lead;
    const signal = AbortSignal.any([leading, this.#cancelling.signal]);
    const asked = await judgeRestore(this.#restore, tools, signal);
    const source = await restoreSource(this.#restore, tools.kube, signal);
    // Of a schedule, the run that is used may be of another store than its template names today.
    const { surroundings } = isNamed(this.#restore, source)
      ? asked
      : await judgeRestore(naming(this.#restore, source), tools, signal);
    this.#update({ admitted: true, source });
    if (isOfNamespaces(this.#restore, source)) {
      this.#update({ step: 'Applying', message: 'the objects are restored' });
      const onProgress = (message: string): void => {
        this.#update({ message });
      };
      const made = { tools, signal, onProgress };
      const outcome = await restoreNamespaces(this.#restore, source, surroundings.source, made);
      return { kind: 'namespaces', outcome };
    }
    const planned = await planRestore(this.#restore, source, tools, signal);
    const { plan } = planned;
    this.#update({ plan, message: plan.lines.join('; ') });
    const [problem] = plan.problems;
    if (problem !== undefined) return { kind: 'refused', failure: problem, all: plan.problems };
    if (this.#restore.spec.dryRun) return { kind: 'planned' };
    this.subject = subjectOf(this.#restore, source, this.report.startedAt);
    const stage = await planned.settle(subjectText(this.subject), signal);
    return await this.#through(planned, stage, signal);
  }

  async #through(
    { plan, hooks }: PlannedRestore,
    stage: Awaited<ReturnType<PlannedRestore['settle']>>,
    signal: AbortSignal,
  ): Promise<RestoreEnd> {
    const places = plan.participants.map(({ node, agentAddress, clockSkewMs }) => ({
      ...{ node, address: agentAddress, clockSkewMs },
    }));
    // Connections of its own: the directory's end with the leadership.
    using nodes = connectNodes(places, this.#lead.tools);
    const { agents } = nodes;
    const outcome = await coordinateRestore({ operation: this.operation, stage }, nodes.participants, {
      ...this.#coordinatorTools(signal),
      beforeQuiesce: async (until, fence) => {
        // The last moment at which the API can be asked; without an answer post-care knows less.
        this.before = await takeCensus(this.#lead.tools.kube, until).catch(() => undefined);
        const calls = { ...this.#hookCalls(agents), fence: () => Promise.resolve(fence()) };
        const failed = await runRestoreHooks(hooks.pre, 'preRestore', calls, until);
        if (failed.length > 0) throw hookFailed(failed);
      },
    });
    return await this.#withPostHooks(outcome, hooks, agents);
  }

  async #conclude(places: readonly NodePlace[]): Promise<RestoreEnd> {
    using nodes = connectNodes(places, this.#lead.tools);
    const tools = this.#coordinatorTools(new AbortController().signal);
    const order = { operation: this.operation };
    const outcome = await concludeRestore(order, nodes.participants, tools, interrupted());
    return await this.#withPostHooks(outcome, hooksOf(this.#restore.spec), nodes.agents);
  }

  async #withPostHooks(
    outcome: RestoreOutcome,
    hooks: RestoreHooks,
    agents: readonly AgentClient[],
  ): Promise<RestoreEnd> {
    const until = AbortSignal.timeout(HOOKS_MS);
    const hooksFailed =
      outcome.kind === 'taken-over'
        ? []
        : await runRestoreHooks(hooks.post, 'postRestore', this.#hookCalls(agents), until);
    return { ...outcome, hooksFailed };
  }

  #coordinatorTools(signal: AbortSignal): CoordinatorTools {
    const { tools } = this.#lead;
    return {
      holder: `restore/${tools.pod.name}`,
      // The same process, for backups: that must not stop a restore.
      isOurs: (holder) => holder === `${HOLDER_PREFIX}${tools.pod.name}`,
      ...{ signal, budgets: this.#lead.budgets },
      onStep: ({ step, term, states, update }) => {
        const bytes = update?.update;
        const message =
          bytes === undefined || bytes.message === ''
            ? step
            : `${update?.node ?? ''}: ${bytes.message}${bytes.totalBytes > 0 ? ` (${Math.floor((100 * bytes.doneBytes) / bytes.totalBytes)} %)` : ''}`;
        if (step !== this.report.step) {
          tools.log.write('info', 'restore-step', `${this.key}: ${step}`, {
            restore: this.key,
            operation: this.operation,
          });
        }
        this.#update({ step, term, states, message });
      },
    };
  }

  #hookCalls(agents: readonly AgentClient[]): HookCalls {
    const { namespace, name, uid } = this.#restore.metadata;
    const holder = `restore/${this.#lead.tools.pod.name}`;
    return {
      ...{ agents, operation: this.operation, audit: this.#lead.tools.audit },
      about: { who: this.#restore.spec.requestedBy, resource: { kind: 'EtcdRestore', namespace, name, uid } },
      fence: async (agent) => {
        const { operation } = this;
        return { operation, term: (await agent.takeTerm({ holder, operation })).term };
      },
    };
  }

  #update(change: Partial<RestoreReport>): void {
    this.report = { ...this.report, ...change };
    if (change.end !== undefined && 'failure' in change.end)
      this.#lead.tools.log.write('error', 'restore-ended', `${this.key}: ${errorText(change.end.failure)}`, {
        ...{ restore: this.key, operation: this.operation, kind: change.end.kind },
      });
    const { runs, tools } = this.#lead;
    tools.metrics.restoresRunning.set(runs.list().filter(({ report }) => isUnderWay(report)).length);
    runs.changed(this.key);
  }
}

const HOOKS_MS = 3_600_000;

function interrupted(): GuardianError {
  return new GuardianError(
    'restore.interrupted',
    'the control plane was interrupted while it led this restore',
    {
      hint: 'Everything was put back as it was. Create another EtcdRestore to try again.',
    },
  );
}

function isNamed({ spec }: EtcdRestore, { backupName }: RestoreSource): boolean {
  return backupName === undefined || backupName === spec.backupName;
}

/** The same restore of the very backup that it comes down to. */
function naming(restore: EtcdRestore, { backupName }: RestoreSource): EtcdRestore {
  return backupName === undefined ? restore : { ...restore, spec: { ...restore.spec, backupName } };
}
