import type { RestoreState } from '../../agent-api/restore-messages.ts';

/** What nodes tell at the end of a way back that left nothing behind. */
export const AS_BEFORE = 'everything is as it was before';
export const NOTHING_STOPPED = 'nothing had been stopped';

/**
 * How it is now that a restore was rolled back, in a sentence without a full stop: a person may have ended the way back of
 * nodes whose etcd doesn't serve (`settle --not-serving`), and they tell what is left. `states` by node.
 */
export function wayBackText(states: ReadonlyMap<string, Pick<RestoreState, 'state' | 'message'>>): string {
  const left = [...states].filter(
    ([, { state, message }]) => state === 'RolledBack' && !QUIET.has(message) && message !== '',
  );
  if (left.length === 0) return AS_BEFORE;
  const told = left.map(([node, { message }]) => `${node}: ${message}`).join('; ');
  return `the old data is in its place, but not everything is as it was before: ${told}`;
}

const QUIET: ReadonlySet<string> = new Set([AS_BEFORE, NOTHING_STOPPED]);
