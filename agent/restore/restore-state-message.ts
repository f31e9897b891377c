import type { Sent } from '../../lib/agent-api/fields.ts';
import type { RestoreState } from '../../lib/agent-api/restore-messages.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { hasReached } from '../../lib/restore/cluster/restore-states.ts';
import { dirsOf } from './member-data.ts';

/** What a node's journal says, as others are told. */
export function restoreStateMessage(entry: JournalEntry): Sent<RestoreState> {
  const { operation, term, state, message, problem, staged, sinceMs, subject, deadlineMs, plan } = entry;
  return {
    ...{ operation, term, state, message, problem, sinceMs, subject, deadlineMs },
    staged: staged === undefined ? undefined : { ...staged },
    previousDataDir:
      hasReached(entry.furthest, 'Swapped') && state !== 'CleanedUp' && state !== 'RolledBack'
        ? dirsOf(entry).previous
        : '',
    committedMs: entry.committedMs ?? 0,
    givenUp: entry.givenUp ?? false,
    members: plan.members,
    point: { timeline: plan.timeline, chain: plan.chain, revision: plan.revision },
  };
}
