import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError, hasCode } from '../lib/guardian-error.ts';
import { LogLines } from '../lib/log-lines.ts';
import type { Again, Controller, KeyQueue } from './controller.ts';
import { type FakeTiming, fakeTiming } from './fake-timing.fixture.ts';
import { controlPlaneMetrics } from './metrics.ts';
import { runControllers, type RunControllersTools } from './run-controllers.ts';

interface Scene {
  readonly tools: RunControllersTools & { timing: FakeTiming };
  readonly lines: { event: string; message: string; level: string; stack?: string }[];
  readonly stop: AbortController;
}

function scene(): Scene {
  const lines: Scene['lines'] = [];
  const output = { write: (text: string) => lines.push(JSON.parse(text) as Scene['lines'][number]) };
  const log = new LogLines(output, () => new Date(), 'json');
  const tools = { log, metrics: controlPlaneMetrics(), random: () => 1, timing: fakeTiming() };
  return { tools, lines, stop: new AbortController() };
}

function controllerOf(
  reconcile: (key: string, signal: AbortSignal) => Promise<Again | undefined>,
  start: (queue: KeyQueue) => Promise<void> = (queue) => {
    queue.add('a/one');
    return Promise.resolve();
  },
): Controller {
  return { name: 'test', workers: 2, start, reconcile };
}

test('whatever a controller throws is told once, and tried again', async () => {
  const { tools, lines, stop } = scene();
  let calls = 0;
  const ended = runControllers(
    [
      controllerOf(() => {
        calls += 1;
        throw new TypeError('undefined is not a function');
      }),
    ],
    tools,
    stop.signal,
  );
  await tools.timing.advance(60_000);
  assert.ok(calls > 5, `${calls} calls`);
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.event, 'reconcile-failed');
  assert.match(lines[0].stack ?? '', /TypeError/);
  await tools.timing.advance(4_000_000);
  assert.equal(lines.length, 2, 'and once an hour, with the count');
  assert.match(lines[1]?.message ?? '', /\(\d+ times\)/);
  stop.abort();
  await ended;
});

test('a controller that cannot start holds up no other, and is started again', async () => {
  const { tools, lines, stop } = scene();
  let tries = 0;
  const done: string[] = [];
  const reconcile = (key: string): Promise<undefined> => {
    done.push(key);
    return Promise.resolve(undefined);
  };
  const late = controllerOf(reconcile, (queue) => {
    tries += 1;
    if (tries < 3) throw new GuardianError('kubernetes.unreachable', 'no API server', { retryable: true });
    queue.add('late/one');
    return Promise.resolve();
  });
  const ended = runControllers([late, controllerOf(reconcile)], tools, stop.signal);
  await tools.timing.advance(0);
  assert.deepEqual(done, ['a/one']);
  await tools.timing.advance(10_000);
  assert.deepEqual(done, ['a/one', 'late/one']);
  assert.deepEqual(
    lines.map(({ event, level }) => [event, level]),
    [['controller-not-started', 'warning']],
  );
  stop.abort();
  await ended;
});

test('when leadership ends, what runs hears of it, and nothing begins any more', async () => {
  const { tools, lines, stop } = scene();
  const events: string[] = [];
  const controller = controllerOf(
    async (key, signal) => {
      events.push(`began ${key}`);
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve, { once: true });
      });
      events.push('heard');
      throw signal.reason;
    },
    (queue) => {
      for (const key of ['a/one', 'a/two', 'a/three']) queue.add(key);
      return Promise.resolve();
    },
  );
  const ended = runControllers([controller], tools, stop.signal);
  await tools.timing.advance(0);
  stop.abort(new GuardianError('kubernetes.not-leader', 'another leads'));
  await ended;
  assert.deepEqual(events, ['began a/one', 'began a/two', 'heard', 'heard']);
  assert.equal(lines.length, 0, 'which is no failure');
});

test('a step that ignores the end of leadership is named, so that the process ends', async () => {
  const { tools, stop } = scene();
  const ended = runControllers([controllerOf(() => new Promise(() => undefined))], tools, stop.signal);
  const told = assert.rejects(
    ended,
    (error) => hasCode(error, 'controlplane.not-drained') && error.message.includes('test of a/one'),
  );
  await tools.timing.advance(0);
  stop.abort();
  await tools.timing.advance(4_000);
  await told;
});

test('a step that hangs is told once, and again when it has ended after all', async () => {
  const { tools, lines, stop } = scene();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const ended = runControllers([controllerOf(() => promise)], tools, stop.signal);
  await tools.timing.advance(1_800_000);
  assert.deepEqual(
    lines.map(({ event }) => event),
    ['reconcile-stuck'],
  );
  const { text } = await tools.metrics.read();
  assert.match(text, /etcdguardian_longest_reconcile_seconds\{controller="test"\} 1800/);
  resolve(undefined);
  await tools.timing.advance(0);
  assert.equal(lines.at(-1)?.event, 'reconcile-ended');
  stop.abort();
  await ended;
});

test('a step says when it wants to be called again', async () => {
  const { tools, stop } = scene();
  const at: number[] = [];
  const ended = runControllers(
    [
      controllerOf(() => {
        at.push(tools.timing.nowMs());
        return Promise.resolve(at.length < 3 ? { afterMs: 7_000 } : undefined);
      }),
    ],
    tools,
    stop.signal,
  );
  await tools.timing.advance(60_000);
  assert.deepEqual(at, [0, 7_000, 14_000]);
  stop.abort();
  await ended;
});
