import { moveByPeers, type PeerAnswer, settleMove } from './decide-alone.ts';

/** The protocol without time, disks and steps: votes, terms, giving up, and what coordinators and peers do of it. */
export interface Model {
  readonly nodes: readonly ModelNode[];
  readonly coordinators: readonly ModelCoordinator[];
  /** On their way, to arrive in any order, more than once, or never. */
  readonly sent: readonly string[];
}

interface ModelNode {
  readonly fate: 'open' | 'voted' | 'committed' | 'aborted';
  readonly givenUp: boolean;
  readonly term: number;
  /** What its peers answered since it gave up: one letter each, `-` for none. */
  readonly heard: string;
}

interface ModelCoordinator {
  readonly term: number;
  readonly phase: 'leads' | 'commits' | 'surveys' | 'goesBack' | 'ended';
  /** What it saw of each node under its term: one letter each. */
  readonly seen: string;
}

export interface Rules {
  readonly decide: typeof moveByPeers;
  /** Coordinators that conclude read only after they have the terms of all. */
  readonly termsOfAll: boolean;
  /** A given-up node refuses a commit. */
  readonly refusesGivenUp: boolean;
  /** Whether a person who leaves out nobody may commit on a node that has given up. */
  readonly mayCommit: (answers: readonly PeerAnswer[]) => boolean;
}

export const REAL_RULES: Rules = {
  ...{ decide: moveByPeers, termsOfAll: true, refusesGivenUp: true },
  mayCommit: (answers) => settleMove('voted', answers, { commit: true, withoutNodes: [] }).move === 'commit',
};

const LETTER = { open: 'o', voted: 'v', committed: 'c', aborted: 'a' } as const;

export function firstModel(nodes: number, coordinators: number): Model {
  return {
    nodes: Array.from({ length: nodes }, () => ({
      ...{ fate: 'open' as const, givenUp: false, term: 1, heard: '-'.repeat(nodes) },
    })),
    coordinators: Array.from({ length: coordinators }, (_, at) => ({
      ...{ term: at + 1, phase: at === 0 ? ('leads' as const) : ('surveys' as const) },
      seen: '-'.repeat(nodes),
    })),
    sent: [],
  };
}

/** Every state that can follow from one, by one thing that happens. */
export function* following(model: Model, rules: Rules): Generator<Model> {
  for (const at of model.nodes.keys()) yield* byNode(model, at, rules);
  for (const at of model.coordinators.keys()) yield* byCoordinator(model, at, rules);
  for (const message of model.sent) yield* arrived(model, message, rules);
}

function* byNode(model: Model, at: number, { decide, mayCommit }: Rules): Generator<Model> {
  const node = model.nodes[at];
  if (node === undefined) return;
  // A deadline may pass at any time.
  if (node.fate === 'open') yield withNode(model, at, { ...node, fate: 'aborted' });
  if (node.fate !== 'voted') return;
  if (!node.givenUp) {
    yield withNode(model, at, { ...node, givenUp: true });
    return;
  }
  for (const [peer, told] of model.nodes.entries()) {
    const letter = told.givenUp && told.fate === 'voted' ? 'g' : LETTER[told.fate];
    const heard = put(node.heard, peer, letter);
    if (peer !== at && heard !== node.heard) yield withNode(model, at, { ...node, heard });
  }
  const answers = Array.from(node.heard).flatMap((letter, peer) =>
    peer === at ? [] : [answerOf(letter, peer)],
  );
  const { move } = decide(answers);
  if (move === 'commit' || mayCommit(answers)) yield withNode(model, at, { ...node, fate: 'committed' });
  if (move === 'rollBack') yield withNode(model, at, { ...node, fate: 'aborted' });
}

function* byCoordinator(model: Model, at: number, { termsOfAll }: Rules): Generator<Model> {
  const coordinator = model.coordinators[at];
  if (coordinator === undefined) return;
  const { term, phase, seen } = coordinator;
  const become = (next: Partial<ModelCoordinator>, from = model): Model => ({
    ...from,
    coordinators: from.coordinators.map((one, index) => (index === at ? { ...one, ...next } : one)),
  });
  const send = (what: 'commit' | 'back'): Model => ({
    ...model,
    sent: [...new Set([...model.sent, ...model.nodes.map((_, node) => `${what} ${term} ${node}`)])].sort(),
  });
  // The one that leads: a vote is a call under its term; all of them, and it commits; before that it may go back.
  if (phase === 'leads') {
    for (const [index, node] of model.nodes.entries()) {
      if (node.term > term || node.givenUp || node.fate === 'aborted') continue;
      const voted = node.fate === 'open' ? ({ ...node, fate: 'voted', term } as const) : node;
      // The answer may be lost.
      if (node.fate === 'open') yield withNode(model, index, voted);
      if (seen[index] !== 'v') yield become({ seen: put(seen, index, 'v') }, withNode(model, index, voted));
    }
    if (Array.from(seen).every((letter) => letter === 'v'))
      yield become({ phase: 'commits' }, send('commit'));
    yield become({ phase: 'goesBack' }, send('back'));
  }
  // Whoever follows: takes terms, then reads, and both may reach some only.
  if (phase === 'surveys') {
    for (const [index, node] of model.nodes.entries())
      if (node.term < term) yield withNode(model, index, { ...node, term });
    const hasTerms = !termsOfAll || model.nodes.every((node) => node.term >= term);
    if (hasTerms)
      for (const [index, node] of model.nodes.entries())
        if (node.term <= term && seen[index] === '-')
          yield become({ seen: put(seen, index, LETTER[node.fate]) });
    if (seen.includes('c')) yield become({ phase: 'ended' }, send('commit'));
    else if (!seen.includes('-')) yield become({ phase: 'ended' }, send('back'));
  }
}

function* arrived(model: Model, message: string, { refusesGivenUp }: Rules): Generator<Model> {
  const [what, term, at] = message.split(' ');
  const index = Number(at);
  const node = model.nodes[index];
  if (node === undefined || Number(term) < node.term) return;
  const admitted = { ...node, term: Number(term) };
  if (what === 'commit' && node.fate === 'voted' && !(node.givenUp && refusesGivenUp))
    yield withNode(model, index, { ...admitted, fate: 'committed' });
  if (what === 'back' && (node.fate === 'voted' || node.fate === 'open'))
    yield withNode(model, index, { ...admitted, fate: 'aborted' });
}

function answerOf(letter: string, peer: number): PeerAnswer {
  const fates = { o: 'open', v: 'voted', g: 'voted', c: 'committed', a: 'aborted' } as const;
  const fate = letter in fates ? fates[letter as keyof typeof fates] : undefined;
  return { node: String(peer), fate, givenUp: letter === 'g' };
}

function withNode(model: Model, at: number, node: ModelNode): Model {
  return { ...model, nodes: model.nodes.map((one, index) => (index === at ? node : one)) };
}

function put(letters: string, at: number, letter: string): string {
  return letters.slice(0, at) + letter + letters.slice(at + 1);
}
