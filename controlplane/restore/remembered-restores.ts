import type { RestoreState } from '../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type NodePlace, placesOf } from '../../lib/restore/cluster/connect-nodes.ts';
import { restoreStateName, stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { KnownAgent } from '../agents/agent-directory.ts';
import { errorOf } from './restore-status.ts';
import type { RestoreEnd, RestoreReport } from './restore-report.ts';
import { parseSubject, type RestoreSubject } from './restore-subject.ts';

/** A restore as the agents' journals have it. */
export interface RememberedRestore {
  readonly operation: string;
  /** By node. */
  readonly states: ReadonlyMap<string, RestoreState>;
  /** All whom it was planned for, also those that don't answer now. */
  readonly nodes: readonly NodePlace[];
  readonly subject: RestoreSubject | undefined;
}

/** What agents told, put together by operation. */
export function rememberedRestores(agents: readonly KnownAgent[]): RememberedRestore[] {
  const found = new Map<string, Map<string, RestoreState>>();
  for (const { node, description } of agents) {
    for (const state of description?.restores ?? []) {
      const states = found.get(state.operation) ?? new Map<string, RestoreState>();
      found.set(state.operation, states.set(node, state));
    }
  }
  const known = agents.map(({ node, address, clockSkewMs = 0 }) => ({ node, address, clockSkewMs }));
  return [...found].map(([operation, states]) => ({
    ...{ operation, states },
    nodes: placesOf([...states.values()].find(({ members }) => members.length > 0)?.members ?? [], known),
    subject: [...states.values()].map(({ subject }) => parseSubject(subject)).find((it) => it !== undefined),
  }));
}

/**
 * The latest moment at which a restore was committed, by the agents' clocks: what is older in the API and not through yet
 * was brought back by it, and had its time.
 */
export function lastCommit(
  remembered: readonly RememberedRestore[],
  except: string,
): { readonly at: Date; readonly operation: string } | undefined {
  const commits = remembered
    .filter(({ operation }) => operation !== except)
    .flatMap(({ operation, states }) =>
      [...states.values()].flatMap(({ committedMs }) =>
        committedMs === 0 ? [] : [{ operation, at: new Date(committedMs) }],
      ),
    );
  return commits.sort((a, b) => b.at.getTime() - a.at.getTime()).at(0);
}

/** What the status says of a restore that is over, from the journals alone. */
export function reportOf({ operation, states, subject, nodes }: RememberedRestore, now: Date): RestoreReport {
  const silent = nodes.flatMap(({ node }) => (states.has(node) ? [] : [node]));
  return {
    ...{ operation, states, plan: undefined, admitted: true, message: '' },
    step: isRestored(states) ? 'Resuming' : 'RollingBack',
    term: [...states.values()].reduce((highest, { term }) => (term > highest ? term : highest), 0n),
    startedAt: new Date(subject?.startedAt ?? now),
    source: subject === undefined ? undefined : { ...subject, backupName: subject.backupName },
    end: endOf(states, silent.length === 0 ? undefined : notTold(silent)),
  };
}

export function isOver({ states }: RememberedRestore): boolean {
  return [...states.values()].every(({ state }) => {
    const name = restoreStateName(state);
    return name !== undefined && stageOf(name) === 'over';
  });
}

function isRestored(states: ReadonlyMap<string, RestoreState>): boolean {
  return [...states.values()].some(({ committedMs }) => committedMs !== 0);
}

function endOf(states: ReadonlyMap<string, RestoreState>, trouble: GuardianError | undefined): RestoreEnd {
  const term = 0n;
  if (isRestored(states)) return { kind: 'restored', trouble, hooksFailed: [], term, states };
  const problem = [...states.values()].map((state) => state.problem).find((one) => one !== undefined);
  const failure = errorOf(
    problem ?? {
      ...{ code: 'restore.interrupted', message: 'the restore was given up', retryable: false },
      hint: 'Create another EtcdRestore to try again.',
    },
  );
  const end = { failure, hooksFailed: [], term, states };
  return trouble === undefined ? { kind: 'rolled-back', ...end } : { kind: 'going-back', trouble, ...end };
}

function notTold(nodes: readonly string[]): GuardianError {
  return new GuardianError(
    'restore.agent-away',
    `the agents of ${nodes.join(', ')} have not told how far they are`,
    {
      hint: 'They go the same way as soon as they are back.',
      retryable: true,
    },
  );
}
