import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { fateOf, restoreStateName, stageOf } from './restore-states.ts';

/**
 * What a later coordinator has to do with a restore that it finds, by what the nodes tell: begin, or bring to its end what
 * was begun. A state that this program doesn't know is not over.
 */
export function nextMove(states: readonly RestoreState[]): 'begin' | 'conclude' | 'over' {
  const stages = states.map(({ state }) => {
    const name = restoreStateName(state);
    return name === undefined ? 'open' : stageOf(name);
  });
  if (stages.every((stage) => stage === 'before')) return 'begin';
  return stages.every((stage) => stage === 'over') ? 'over' : 'conclude';
}

/** Whether a node told that it has committed. */
export function isCommitted({ state, committedMs }: RestoreState): boolean {
  const name = restoreStateName(state);
  return name !== undefined && fateOf(name, committedMs) === 'committed';
}

/** Beyond staging, which a node goes only after all have staged. */
export function hasGoneOn({ state }: RestoreState): boolean {
  const name = restoreStateName(state);
  return name === undefined || ['open', 'committed'].includes(stageOf(name));
}
