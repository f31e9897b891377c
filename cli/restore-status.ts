import { Command } from 'commander';
import type { RestoreState } from '../lib/agent-api/restore-messages.ts';
import type { NodeFacts } from '../lib/restore/cluster/node-facts.ts';
import { isCommitted } from '../lib/restore/cluster/next-move.ts';
import { restoreStateName, stageOf } from '../lib/restore/cluster/restore-states.ts';
import {
  agentCaller,
  agentPlaces,
  type AgentOptions,
  surveyAgents,
  withAgentOptions,
} from './agent-options.ts';
import { EXIT_CODES } from './exit-code.ts';
import { age, count, print, table } from './output.ts';
import { reporting, type ReportOptions, withReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface StatusOptions extends AgentOptions, ReportOptions {
  readonly all?: boolean;
}

/** One restore, as the nodes' journals have it. */
export interface KnownRestore {
  readonly operation: string;
  readonly nodes: readonly { readonly node: string; readonly state: RestoreState }[];
}

export function restoreStatusCommand(session: Session): Command {
  const command = new Command('status')
    .summary('what the journals of all nodes say of restores, and what to do')
    .description(
      `Asks each agent what its journal says, and tells what there is to do. Changes
nothing. Ends with 6 when an agent doesn't answer.`,
    )
    .option('--all', 'also those that are over (default: the newest of them)');
  return withReportOptions(withAgentOptions(command)).action(async (options: StatusOptions) => {
    const { terminal, clock } = session;
    const caller = await agentCaller(session, options);
    const facts = await surveyAgents(agentPlaces(options), caller, terminal.signal);
    const away = facts.filter(({ problem }) => problem !== undefined).map(({ node }) => node);
    const known = knownRestores(facts);
    const shown = options.all === true ? known : known.filter((one, at) => at === 0 || !isOver(one));
    print(
      terminal,
      reporting(session, options).format,
      {
        restores: shown.map((one) => ({ ...one, todo: whatToDo(one, away) })),
        away: facts.flatMap(({ node, problem }) =>
          problem === undefined ? [] : [{ node, message: problem.message, code: problem.code }],
        ),
      },
      () => statusText(shown, facts, clock()),
    );
    if (away.length > 0) session.exitCode = EXIT_CODES.unreachable;
  });
}

/** By operation, the newest first. */
export function knownRestores(facts: readonly NodeFacts[]): KnownRestore[] {
  const found = new Map<string, { node: string; state: RestoreState }[]>();
  for (const { node, description } of facts)
    for (const state of description?.restores ?? [])
      found.set(state.operation, [...(found.get(state.operation) ?? []), { node, state }]);
  const newest = (nodes: readonly { readonly state: RestoreState }[]): number =>
    Math.max(...nodes.map(({ state }) => state.sinceMs));
  return [...found]
    .map(([operation, nodes]) => ({ operation, nodes }))
    .sort((a, b) => newest(b.nodes) - newest(a.nodes));
}

function isOver({ nodes }: KnownRestore): boolean {
  return nodes.every(({ state }) => {
    const name = restoreStateName(state.state);
    return name !== undefined && stageOf(name) === 'over';
  });
}

/** For a person; `away`: nodes whose agents didn't answer. */
export function whatToDo(restore: KnownRestore, away: readonly string[]): string {
  const { operation, nodes } = restore;
  const committed = nodes.some(({ state }) => isCommitted(state));
  if (isOver(restore) && away.length === 0) {
    if (!committed) return 'nothing: it was given up; where a node isn’t as it was before, its line says so';
    return nodes.some(({ state }) => state.previousDataDir !== '')
      ? `nothing; when all is well, free the room of the old data: etcdguardian restore clean-up ${operation} --agent …`
      : 'nothing';
  }
  if (committed)
    return `wait: it is committed, and nodes that are behind go on by themselves${away.length === 0 ? '' : ` once they are back (${away.join(', ')})`}`;
  const givenUp = nodes.filter(({ state }) => state.givenUp).map(({ node }) => node);
  if (givenUp.length > 0 && away.length > 0)
    return `bring the agents of ${away.join(', ')} back: ${givenUp.join(', ')} ${givenUp.length === 1 ? 'waits' : 'wait'} for what they tell. If they never come back: etcdguardian restore settle ${operation} --commit|--roll-back ${away.map((node) => `--without ${node}`).join(' ')} --agent …`;
  if (givenUp.length > 0) return 'wait: the nodes ask each other, and end it the same way everywhere';
  const back = nodes.filter(({ state }) => state.state === 'RollingBack').map(({ node }) => node);
  if (back.length > 0)
    return `wait: it goes back, until etcd serves the old data on ${back.join(', ')}. If it never does: etcdguardian restore settle ${operation} --roll-back --not-serving --agent …`;
  return 'wait: it is under way; without a coordinator each node acts when its deadline has passed';
}

/** Why it went wrong, and on the way back how that goes, too: a person may have ended it. */
export function whatHappened({
  state,
  message,
  problem,
}: Pick<RestoreState, 'state' | 'message' | 'problem'>): string {
  if (problem === undefined) return message;
  const why = `${problem.message} [${problem.code}]`;
  const isBack = state === 'RollingBack' || state === 'RolledBack';
  return isBack && message !== '' ? `${why}; ${message}` : why;
}

function statusText(restores: readonly KnownRestore[], facts: readonly NodeFacts[], now: Date): string {
  const away = facts.filter(({ problem }) => problem !== undefined);
  const told = away
    .map(({ node, problem }) => `${node} doesn't answer: ${problem?.message ?? ''}\n`)
    .join('');
  if (restores.length === 0) return `${told}no node that answers knows of a restore\n`;
  return (
    told +
    restores
      .map((restore) => {
        const point = restore.nodes.find(({ state }) => state.point !== undefined)?.state.point;
        return `restore ${restore.operation}${point === undefined ? '' : ` to revision ${count(point.revision)}`}
${table(
  ['NODE', 'STATE', 'SINCE', 'DEADLINE', 'WHAT'],
  restore.nodes.map(({ node, state }) => [
    node,
    `${state.state}${state.givenUp ? ', given up' : ''}`,
    age(new Date(state.sinceMs), now),
    isOver({ ...restore, nodes: [{ node, state }] }) ? '-' : new Date(state.deadlineMs).toISOString(),
    whatHappened(state),
  ]),
)}what to do: ${whatToDo(
          restore,
          away.map(({ node }) => node),
        )}
`;
      })
      .join('\n')
  );
}
