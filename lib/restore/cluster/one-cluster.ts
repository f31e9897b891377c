import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { GuardianError } from '../../guardian-error.ts';

/**
 * Throws `restore.members-differ` unless all members were staged with the same data for the same cluster, so that what
 * starts together can only be one.
 */
export function requireOneCluster(states: Iterable<RestoreState>): void {
  const staged = [...states].map((state) => state.staged);
  const [first] = staged;
  const same = staged.every(
    (one) =>
      one?.clusterId === first?.clusterId &&
      one?.hashKv === first?.hashKv &&
      one?.revision === first?.revision,
  );
  const members = new Set(staged.map((one) => one?.memberId));
  if (same && first !== undefined && members.size === staged.length) return;
  throw new GuardianError(
    'restore.members-differ',
    'the restored members are not different ones of one cluster with the same data',
    { hint: 'Everything was put back. Report this with the logs of the agents.' },
  );
}
