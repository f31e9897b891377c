import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
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

/**
 * `restore.peers-away` where those who answer can't tell how a restore ended: `silent` are away, and `blank` know nothing of
 * it, though others had gone on with it.
 */
export function outcomeNotKnown(
  operation: string,
  { silent, blank }: { readonly silent: readonly string[]; readonly blank: readonly string[] },
  failure: unknown,
): GuardianError {
  const away = silent.length === 0 ? [] : [`${silent.join(', ')} can't be asked`];
  const lost =
    blank.length === 0 ? [] : [`${blank.join(', ')} ${blank.length === 1 ? 'knows' : 'know'} nothing of it`];
  const why = [...away, ...lost].join(', and ');
  return new GuardianError(
    'restore.peers-away',
    `whether restore ${operation} was committed is not known${why === '' ? '' : `: ${why}`}. It is left to the nodes as it is. It had come to this: ${reasonOf(failure)}`,
    {
      hint: `${silent.length === 0 ? '' : `Bring the agents of ${silent.join(', ')} back: they may know, and the others follow. `}If nobody ever can tell: restored data counts its revisions on from a thousand million above the old, which shows what each etcd has; "etcdguardian restore status" shows what is left to settle.`,
      retryable: true,
      cause: failure,
    },
  );
}

function isUnderWay({ state }: RestoreState): boolean {
  const name = restoreStateName(state);
  return name === undefined || stageOf(name) !== 'over';
}
