import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainTail } from '../../repository/chain.ts';
import type { ClockStep } from '../../repository/clock-steps.ts';
import { ClockWatch } from './clock-watch.ts';

const START = Date.parse('2026-11-22T14:00:00Z');

interface Watched {
  readonly watch: ClockWatch;
  readonly told: ClockStep[];
  /** Lets time pass, and sets the clock by so much more. */
  readonly pass: (ms: number, setByMs?: number) => void;
}

function watched(): Watched {
  let [passed, wrongBy] = [0, 0];
  const told: ClockStep[] = [];
  const watch = new ClockWatch({
    ...{
      writerId: 7n,
      clock: () => new Date(START + passed + wrongBy),
      monotonicMs: () => passed + 12_345.6,
    },
    onStep: (step) => told.push(step),
  });
  const pass = (ms: number, setByMs = 0): void => {
    passed += ms;
    wrongBy += setByMs;
  };
  return { watch, told, pass };
}

function at(ms: number): Date {
  return new Date(START + ms);
}

/** The end of a chain that writer 9 left, with its clock `aheadMs` ahead of now. */
function tailAhead(aheadMs: number, { sealedAheadMs = aheadMs, looked = true } = {}): ChainTail {
  const times: [bigint, Date][] = [[90n, at(aheadMs)]];
  const head = {
    ...({
      formatVersion: 1,
      cluster: 'prod',
      timeline: '000001',
      chain: 'c',
      index: 0,
      from: 0n,
      to: 90n,
    } as const),
    ...{ predecessor: '', etcdClusterId: 1n, tool: '', openedAt: at(0), sealedAt: at(sealedAheadMs), times },
    ...{
      events: 1,
      puts: 1,
      plainSize: 1,
      batches: [],
      storedSize: 1,
      sha256: '',
      recipients: [],
      proofs: [],
    },
    writer: { id: 9n, kind: 'capture', sealIntervalMs: 1 } as const,
    leases: { complete: true, granted: [], gone: [] },
    clockSteps: looked ? [] : undefined,
  };
  return {
    ...{ cluster: 'prod', timeline: '000001', id: 'c', etcdClusterId: 1n, revision: 90n, predecessor: '' },
    ...{ index: 1, recipients: [], last: { name: '', size: 1, sha256: '', head } },
  };
}

test('a clock that is set is told at once, with what it would have said and what it said', () => {
  const { watch, told, pass } = watched();
  pass(5_000);
  watch.look(10n);
  pass(1_000, 3_600_000);
  watch.look(12n);
  pass(1_000);
  watch.look(13n);
  pass(500, -3_600_000);
  watch.look(20n);
  assert.deepEqual(told, [
    { revision: 12n, before: at(6_000), after: at(3_606_000) },
    { revision: 20n, before: at(3_607_500), after: at(7_500) },
  ]);
  assert.deepEqual(watch.steps, told);
});

test('what is slowly put right, and less than a second, is no step', () => {
  const { watch, told, pass } = watched();
  for (let second = 0; second < 10_000; second++) {
    pass(1_000, second % 2_000 === 0 ? 900 : -0.5);
    watch.look(1n);
  }
  assert.deepEqual(told, []);
});

test('a clock behind that of the last writer is told as a step, once', () => {
  const { watch, told } = watched();
  watch.follows(tailAhead(900));
  watch.follows(tailAhead(-60_000));
  assert.deepEqual(told, []);
  watch.follows(tailAhead(60_000));
  assert.deepEqual(told, [{ revision: 90n, before: at(60_000), after: at(0) }]);
});

test('where times only stand still behind a step that is told, nothing is told again; an older writer tells none', () => {
  const { watch, told } = watched();
  watch.follows(tailAhead(60_000, { sealedAheadMs: -10_000 }));
  assert.deepEqual(told, []);
  watch.follows(tailAhead(60_000, { sealedAheadMs: -10_000, looked: false }));
  assert.deepEqual(told, [{ revision: 90n, before: at(60_000), after: at(0) }]);
});

test('another history has revisions of its own: steps are forgotten', () => {
  const { watch, pass } = watched();
  pass(1_000, 10_000);
  watch.look(5n);
  watch.clear();
  assert.deepEqual(watch.steps, []);
});
