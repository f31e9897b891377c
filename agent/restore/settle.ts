import type { SettleRequest } from '../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { settleMove } from '../../lib/restore/cluster/decide-alone.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { fateOf } from '../../lib/restore/cluster/restore-states.ts';
import type { PartTools } from '../agent-part.ts';
import type { Peers } from './peers.ts';
import type { Steps } from './steps.ts';

export interface SettleTools extends Pick<PartTools, 'terms' | 'clock' | 'log' | 'signal'> {
  readonly journal: Journal;
  readonly steps: Steps;
  readonly peers: Peers;
  /** Resolves when nothing is staged any more for an operation. */
  readonly endStaging: (operation: string) => Promise<void>;
}

/**
 * What a person has decided about a restore whose other nodes don't come back; the journal says who. Rejects with
 * `restore.unknown`, with `restore.committed` and `restore.order` where this node or a peer has decided otherwise for good,
 * with `restore.given-up` for a commit where all have given up, and with `restore.peers-away` for peers that neither have settled nor are named as not to be waited for. A way back that is
 * under way goes on by itself; it ends where etcd doesn't serve on the old data only if that was said.
 */
export async function settle(request: SettleRequest, tools: SettleTools): Promise<JournalEntry> {
  const { journal, steps, peers, endStaging, terms, clock, log, signal } = tools;
  const { commit, withoutNodes, by, notServing } = request;
  const fence = await terms.admit(request.fence);
  const { operation } = fence;
  // A step that was let in before may end with a vote; none with a lower term begins after it.
  await steps.settled();
  // As at its deadline: from here on no coordinator makes it commit. Where nobody is lost, and it shall be committed, that
  // would be its end: all that have given up go back.
  const mayGiveUp = !commit || withoutNodes.length > 0;
  if (mayGiveUp && journal.find(operation)?.state === 'Verified')
    await steps.take(operation, 'giveUp', { fence });
  const entry = await steps.state(operation);
  if (entry === undefined) throw unknown(operation);
  const answers = entry.state === 'Verified' ? await peers.ask(entry, signal) : [];
  const decided = settleMove(fateOf(entry.state, entry.committedMs), answers, { commit, withoutNodes });
  const who = by === '' ? 'a person' : by;
  if (entry.state === 'RollingBack' && !commit && notServing) {
    const unserved = `${who} decided not to wait for etcd any more`;
    log.write('warning', 'restore-settled', `restore ${operation}: ${unserved}`, { operation, by });
    return await steps.take(operation, 'rollBack', { fence, unserved });
  }
  if (decided.move === 'nothing') return entry;
  if (decided.move === 'refuse') throw refused(entry, decided.code, decided.nodes, commit);
  const without = withoutNodes.length === 0 ? '' : `, without ${withoutNodes.join(', ')}`;
  const because = `${who} decided to ${commit ? 'commit it' : 'roll it back'}${without}`;
  log.write('warning', 'restore-settled', `restore ${operation}: ${because}`, {
    operation,
    by,
    withoutNodes,
  });
  if (decided.move === 'rollBack') {
    await steps.settled();
    await endStaging(operation);
  }
  const reason = { code: 'restore.settled', message: because, hint: '', retryable: false };
  // What is committed so goes on at once, before its deadline, too.
  const deadlineMs = decided.move === 'commit' ? clock().getTime() : undefined;
  return await steps.take(operation, decided.move, { fence, deadlineMs, because, reason });
}

function unknown(operation: string): GuardianError {
  return new GuardianError('restore.unknown', `this node knows of no restore ${operation}`, {
    hint: 'It never came so far, or it was long ago.',
  });
}

function refused(
  { operation, state, plan }: JournalEntry,
  code: string,
  nodes: readonly string[],
  commit: boolean,
): GuardianError {
  const what = commit ? 'committed' : 'rolled back';
  if (code === 'restore.peers-away')
    return new GuardianError(
      code,
      `restore ${operation} can't be ${what} yet: ${nodes.join(', ')} did not answer, or is still before its deadline`,
      {
        hint: 'Bring their agents back, which settles it without you. Name those that never come back with --without.',
        retryable: true,
      },
    );
  if (code === 'restore.given-up')
    return new GuardianError(
      code,
      `restore ${operation} can't be committed: all nodes have given it up, and each may be going back already`,
      { hint: 'They go back by themselves; then restore again.' },
    );
  const where =
    nodes.length === 0
      ? `it is ${state} here`
      : `it went the other way at ${nodes.join(', ')} of ${plan.members.length} nodes`;
  return new GuardianError(code, `restore ${operation} can't be ${what}: ${where}`, {
    hint: 'What one node has decided, all do: settle it the other way, or leave it to the nodes.',
  });
}
