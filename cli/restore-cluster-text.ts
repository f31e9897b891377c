import type { RestoreState } from '../lib/agent-api/restore-messages.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import type { ClusterPlan } from '../lib/restore/cluster/cluster-plan.ts';
import type { CoordinatorProgress, RestoreOutcome } from '../lib/restore/cluster/coordinate-restore.ts';
import { wayBackText } from '../lib/restore/cluster/way-back.ts';
import { EXIT_CODES, exitCodeOf } from './exit-code.ts';
import { fields, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import type { Reporting } from './report-options.ts';
import type { KeptOwn } from './restore-own.ts';
import type { Session } from './session.ts';

const STEPS = {
  Staging: 'staging: the data is fetched and verified beside the present one; Ctrl-C costs nothing',
  Quiescing: 'stopping API servers, then etcd; from here on it goes to its end, or back',
  Swapping: 'the old data aside, the new in its place; etcd starts',
  Verifying: 'etcd must answer the hash that was computed before',
  Resuming: 'it is committed; the API servers start',
  RollingBack: 'going back: the old data in its place, etcd and the API servers start',
} as const satisfies Record<CoordinatorProgress['step'], string>;

/** Tells a person how a restore goes, and what Ctrl-C means at that moment. */
export class RestoreTelling implements Disposable {
  readonly #session: Session;
  readonly #progress: ProgressLine;
  readonly #operation: string;
  #step: CoordinatorProgress['step'] | undefined;
  readonly #states = new Map<string, string>();

  constructor(session: Session, progress: ProgressLine, operation: string, plan: ClusterPlan) {
    this.#session = session;
    this.#progress = progress;
    this.#operation = operation;
    progress.say(
      `restore ${operation} of ${plan.participants.map(({ node, name }) => `${node} (member ${name})`).join(', ')}`,
    );
    session.terminal.signal.addEventListener('abort', this.#interrupted, { once: true });
  }

  step({ step, states, update }: CoordinatorProgress): void {
    if (step !== this.#step) {
      this.#progress.say(STEPS[step]);
      this.#step = step;
    }
    for (const [node, { state, message }] of states) {
      if (this.#states.get(node) === state) continue;
      this.#states.set(node, state);
      this.#progress.say(`  ${node}: ${state}${message === '' ? '' : ` (${message})`}`);
    }
    if (update === undefined || update.update.totalBytes === 0) return;
    const { doneBytes, totalBytes, message } = update.update;
    this.#progress.update({ label: `${update.node}: ${message}`, done: doneBytes, total: totalBytes });
  }

  [Symbol.dispose](): void {
    this.#session.terminal.signal.removeEventListener('abort', this.#interrupted);
  }

  readonly #interrupted = (): void => {
    this.#progress.say(
      this.#step === undefined || this.#step === 'Staging'
        ? 'interrupted: it is given up; nothing was stopped'
        : `interrupted: something is stopped already, so this goes on to its end. Another Ctrl-C ends this program only: the nodes then act by themselves when the deadline of their step has passed, minutes from now: back before the commit, on after it. "etcdguardian restore status" tells (${this.#operation})`,
    );
  };
}

/** Prints how it ended, and sets the exit status. */
export function tellOutcome(
  session: Session,
  report: Reporting,
  { operation, own }: { readonly operation: string; readonly own: KeptOwn },
  outcome: RestoreOutcome,
): void {
  const failure = 'failure' in outcome ? outcome.failure : undefined;
  const value = {
    operation,
    outcome: outcome.kind,
    problem: failure === undefined ? null : problemValue(failure),
    own: ownValue(own),
    nodes: [...outcome.states].map(([node, { state, message, previousDataDir }]) => ({
      ...{ node, state, message, previousDataDir },
    })),
  };
  print(session.terminal, report.format, value, () => outcomeText(operation, outcome, own));
  if (outcome.kind === 'restored') return;
  if (outcome.kind === 'rolled-back' && failure === session.terminal.signal.reason) {
    session.exitCode = EXIT_CODES.interrupted;
    return;
  }
  const code = exitCodeOf(failure);
  session.exitCode = code === EXIT_CODES.ok ? EXIT_CODES.failed : code;
}

function outcomeText(operation: string, outcome: RestoreOutcome, own: KeptOwn): string {
  switch (outcome.kind) {
    case 'restored':
      return `restored.\n${outcome.trouble === undefined ? '' : `still to come: ${reasonOf(outcome.trouble)}; the nodes go on by themselves\n`}${own.line}\n${keptText(outcome.states)}Look at it: kubectl get nodes; backups begin a new timeline, take a full one now.\nWhen all is well: etcdguardian restore clean-up ${operation} --agent … frees the old data's room.\n`;
    case 'rolled-back':
      return `NOT restored: ${wayBackText(outcome.states)}.\n${problemText(outcome.failure)}`;
    case 'going-back':
      return `NOT restored: it goes back, and not all nodes are through: ${reasonOf(outcome.trouble)}.\n${problemText(outcome.failure)}The nodes go on with it by themselves. ${wayOutText(outcome.trouble)}See: etcdguardian restore status --agent …\n`;
    case 'unknown':
      return `it is NOT known yet whether it is restored: who could tell is away.\n${problemText(outcome.failure)}The nodes bring it to the same end everywhere as soon as they reach each other; nothing is lost until then.\nSee: etcdguardian restore status --agent …   Where a node never comes back: etcdguardian restore settle ${operation} …\n`;
    case 'taken-over':
      return `another coordinator has taken restore ${operation} over (a control plane, or a second "restore cluster"): this one steps down.\n${problemText(outcome.failure)}See: etcdguardian restore status --agent …\n`;
  }
}

/** For programs: what is kept of EtcdGuardian itself, from where, or why nothing is. */
export function ownValue({ kept, from, line }: KeptOwn): Readonly<Record<string, unknown>> {
  return { objects: kept, from: from ?? null, message: line };
}

function keptText(states: ReadonlyMap<string, RestoreState>): string {
  return fields(
    [...states].map(([node, { previousDataDir }]) => [
      `old data on ${node}`,
      previousDataDir === '' ? undefined : previousDataDir,
    ]),
  );
}

function problemText(failure: unknown): string {
  if (!(failure instanceof GuardianError)) return `because: ${textOf(failure)}\n`;
  const { message, code, hint } = failure;
  return `because: ${message} [${code}]\n${hint === undefined ? '' : `what to do: ${hint}\n`}`;
}

function wayOutText(trouble: unknown): string {
  return trouble instanceof GuardianError && trouble.hint !== undefined ? `${trouble.hint}\n` : '';
}

/** A signal that came is told by its name. */
function textOf(failure: unknown): string {
  return typeof failure === 'string' ? `it was interrupted (${failure})` : reasonOf(failure);
}

function problemValue(failure: unknown): Readonly<Record<string, unknown>> {
  if (!(failure instanceof GuardianError)) return { message: textOf(failure) };
  const { code, message, hint } = failure;
  return { code, message, hint: hint ?? null };
}
