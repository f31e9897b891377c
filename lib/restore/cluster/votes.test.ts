import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import { moveByPeers } from './decide-alone.ts';
import { firstModel, following, type Model, REAL_RULES, type Rules } from './votes.fixture.ts';

interface Explored {
  readonly states: number;
  /** The first in which one node has committed and another gone back. */
  readonly split: Model | undefined;
  /** One from which nothing leads to an end of all. */
  readonly stuck: Model | undefined;
}

function explored(first: Model, rules: Rules): Explored {
  const known = new Map<string, { readonly before: string[]; readonly isOver: boolean; model: Model }>();
  const keyOf = ({ nodes, coordinators, sent }: Model): string =>
    `${nodes.map(({ fate, givenUp, term, heard }) => `${fate}${givenUp ? '!' : ''}${term}${givenUp && fate === 'voted' ? heard : ''}`).join(' ')}|${coordinators.map(({ phase, seen }) => phase + seen).join(' ')}|${sent.join()}`;
  const isOver = ({ nodes }: Model): boolean =>
    nodes.every(({ fate }) => fate === 'committed' || fate === 'aborted');
  const queue = [first];
  known.set(keyOf(first), { before: [], isOver: isOver(first), model: first });
  for (let model = queue.pop(); model !== undefined; model = queue.pop()) {
    const fates = new Set(model.nodes.map(({ fate }) => fate));
    if (fates.has('committed') && fates.has('aborted'))
      return { states: known.size, split: model, stuck: undefined };
    if (isOver(model)) continue;
    const from = keyOf(model);
    for (const next of following(model, rules)) {
      const key = keyOf(next);
      const found = known.get(key);
      if (found !== undefined) found.before.push(from);
      else {
        known.set(key, { before: [from], isOver: isOver(next), model: next });
        queue.push(next);
      }
    }
  }
  // Back from the ends: whatever isn't reached can't come to one.
  const ends = [...known].flatMap(([key, state]) => (state.isOver ? [key] : []));
  const reached = new Set(ends);
  for (let key = ends.pop(); key !== undefined; key = ends.pop())
    for (const before of known.get(key)?.before ?? [])
      if (!reached.has(before)) {
        reached.add(before);
        ends.push(before);
      }
  const stuck = [...known].find(([key]) => !reached.has(key))?.[1].model;
  return { states: known.size, split: undefined, stuck };
}

const SIZES: readonly (readonly [nodes: number, coordinators: number])[] = [
  [2, 2],
  ...(WHOLE_MATRIX ? ([[3, 1]] as const) : []),
];

for (const [nodes, coordinators] of SIZES)
  test(`no order of events splits ${nodes} nodes with ${coordinators} coordinators, and an end is always within reach`, () => {
    const { states, split, stuck } = explored(firstModel(nodes, coordinators), REAL_RULES);
    assert.deepEqual([split, stuck], [undefined, undefined]);
    process.stdout.write(`${states} states of ${nodes} nodes and ${coordinators} coordinators\n`);
  });

const WRONG: Readonly<Record<string, Rules>> = {
  'a node that has given up still takes a commit': { ...REAL_RULES, refusesGivenUp: false },
  'who concludes reads before it has all terms': { ...REAL_RULES, termsOfAll: false },
  'a person commits what all have given up': {
    ...REAL_RULES,
    mayCommit: (answers) => answers.every(({ givenUp }) => givenUp),
  },
  'peers that have voted are as good as given up': {
    ...REAL_RULES,
    decide: (answers) =>
      moveByPeers(answers.map((one) => (one.fate === 'voted' ? { ...one, givenUp: true } : one))),
  },
};

for (const [rule, rules] of Object.entries(WRONG))
  test(`there would be a split where ${rule}`, () => {
    assert.notEqual(explored(firstModel(2, 2), rules).split, undefined);
  });
