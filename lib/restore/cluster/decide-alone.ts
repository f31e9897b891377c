import type { JournalEntry } from './journal.ts';
import { type Fate, fateOf, restoreStateName, stageOf } from './restore-states.ts';

/** What a node does about a restore that nobody leads any more. */
export type OwnMove =
  'rollBack' | 'resume' | 'cleanUp' /** See `moveByPeers`. */ | 'giveUp' | 'askPeers' | undefined;

export interface OwnTime {
  /** Whether the deadline of the last call has passed. */
  readonly isPast: boolean;
  /** By the node's clock. */
  readonly nowMs: number;
  /** How long the data before a restore is kept. */
  readonly keepPreviousMs: number;
}

/**
 * A node past its deadline: what is committed goes on, and what hasn't voted goes back, since nobody can have committed
 * without it. What has voted gives up and then asks its peers. A way back that was begun is gone on with at once, and the
 * data before a restore goes when it is old. No clock, no network.
 */
export function ownMove(entry: JournalEntry, { isPast, nowMs, keepPreviousMs }: OwnTime): OwnMove {
  if (entry.state === 'Resumed' && nowMs - entry.sinceMs >= keepPreviousMs) return 'cleanUp';
  const stage = stageOf(entry.state);
  if (stage === 'over') return undefined;
  if (stage === 'going-back') return 'rollBack';
  if (fateOf(entry.state, entry.committedMs) === 'voted' && entry.givenUp === true) return 'askPeers';
  if (!isPast) return undefined;
  if (stage === 'committed') return 'resume';
  return entry.state === 'Verified' ? 'giveUp' : 'rollBack';
}

/** What one peer told, asked after this node had given up. */
export interface PeerAnswer {
  readonly node: string;
  /** Undefined where it didn't answer, or knows nothing of this restore. */
  readonly fate: Fate | undefined;
  readonly givenUp: boolean;
}

/** A peer's state, as it is sent, as an answer. */
export function peerAnswer(
  node: string,
  told: { readonly state: string; readonly committedMs: number; readonly givenUp: boolean } | undefined,
): PeerAnswer {
  const name = told === undefined ? undefined : restoreStateName(told.state);
  if (told === undefined || name === undefined) return { node, fate: undefined, givenUp: false };
  return { node, fate: fateOf(name, told.committedMs), givenUp: told.givenUp };
}

export type PeersMove =
  | { readonly move: 'commit' | 'rollBack'; /** For people. */ readonly because: string }
  /** Nothing can be known yet: these could tell. */
  | { readonly move: 'wait'; readonly nodes: readonly string[] };

/**
 * What follows for a node that has voted and given up, by what its peers tell, all of them asked after it gave up. One that
 * has committed means that all had voted; one that has aborted, that nobody commits; all given up, that none of them takes
 * a commit any more, and none had. One that has not voted may still be led to do so, and its own deadline passes, too. A
 * node that has lost its journal tells nothing. No clock, no network.
 */
export function moveByPeers(answers: readonly PeerAnswer[]): PeersMove {
  const committed = answers.find(({ fate }) => fate === 'committed');
  if (committed !== undefined) return { move: 'commit', because: `${committed.node} has committed it` };
  const aborted = answers.find(({ fate }) => fate === 'aborted');
  if (aborted !== undefined) return { move: 'rollBack', because: `${aborted.node} has gone back` };
  const open = answers.filter(({ fate, givenUp }) => !(fate === 'voted' && givenUp));
  if (open.length === 0)
    return { move: 'rollBack', because: 'no node had been told to commit it when all gave up' };
  return { move: 'wait', nodes: open.map(({ node }) => node) };
}

/** A person's decision for a node that others don't let settle, with the peers that are not waited for. */
export interface Settlement {
  readonly commit: boolean;
  readonly withoutNodes: readonly string[];
}

export type SettleMove =
  | { readonly move: 'commit' | 'rollBack' | 'nothing' }
  | {
      readonly move: 'refuse';
      readonly code: 'restore.committed' | 'restore.order' | 'restore.peers-away' | 'restore.given-up';
      readonly nodes: readonly string[];
    };

/**
 * Whether a person's decision may stand: against what a node has decided for good it never does, here or at a peer, and it
 * takes the place of nobody's answer but those whom it names, and who tell nothing. A peer that has voted must have given up,
 * too, so that no commit reaches it meanwhile; one that hasn't may be about to. Where all tell that they have given up, it can't be committed: each of them
 * may be going back already, as `moveByPeers` has it. No clock, no network.
 */
export function settleMove(
  own: Fate,
  answers: readonly PeerAnswer[],
  { commit, withoutNodes }: Settlement,
): SettleMove {
  const final: Fate = commit ? 'committed' : 'aborted';
  const other: Fate = commit ? 'aborted' : 'committed';
  const code = commit ? 'restore.order' : 'restore.committed';
  if (own === final) return { move: 'nothing' };
  if (own === other) return { move: 'refuse', code, nodes: [] };
  if (own === 'open') return commit ? { move: 'refuse', code, nodes: [] } : { move: 'rollBack' };
  const against = answers.filter(({ fate }) => fate === other || (commit && fate === 'open'));
  if (against.length > 0) return { move: 'refuse', code, nodes: against.map(({ node }) => node) };
  const isSettled = ({ fate, givenUp }: PeerAnswer): boolean =>
    fate === 'committed' || fate === 'aborted' || (fate === 'voted' && givenUp);
  const isLeftOut = ({ fate, node }: PeerAnswer): boolean =>
    fate === undefined && withoutNodes.includes(node);
  const silent = answers.filter((answer) => !isSettled(answer) && !isLeftOut(answer));
  if (silent.length > 0)
    return { move: 'refuse', code: 'restore.peers-away', nodes: silent.map(({ node }) => node) };
  if (commit && moveByPeers(answers).move === 'rollBack')
    return { move: 'refuse', code: 'restore.given-up', nodes: [] };
  return { move: commit ? 'commit' : 'rollBack' };
}
