import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { GuardianError } from '../../guardian-error.ts';
import { restoreStateName, stageOf } from './restore-states.ts';

/** `restore.busy` for a node that tells of another restore that isn't over; a state that this program doesn't know is not. */
export function otherUnderWay(
  node: string,
  restores: readonly RestoreState[],
  operation: string,
): GuardianError | undefined {
  const other = restores.find((restore) => restore.operation !== operation && isUnderWay(restore));
  if (other === undefined) return undefined;
  return new GuardianError(
    'restore.busy',
    `restore ${other.operation} is under way on ${node} (${other.state})`,
    {
      hint: 'Let it end, then restore again. One that was only staged, and that nobody leads any more, ends within minutes; "etcdguardian restore settle" ends one that can\'t end by itself.',
      retryable: true,
    },
  );
}

function isUnderWay({ state }: RestoreState): boolean {
  const name = restoreStateName(state);
  return name === undefined || stageOf(name) !== 'over';
}
