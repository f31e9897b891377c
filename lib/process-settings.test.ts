import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { z } from 'zod';
import { hasCode } from './guardian-error.ts';
import { byteCount, dnsName, durationMs, list, port, readSettings, setting } from './process-settings.ts';

const SETTINGS = {
  port: setting('X_PORT', '--port <port>', 'where', port.default(9_640)),
  name: setting('X_NAME', '--name <name>', 'who', dnsName.optional()),
  poll: setting('X_POLL', '--poll <duration>', 'how often', durationMs.default(30_000)),
};
const read = (
  env: Record<string, string | undefined>,
  flags: Partial<Record<keyof typeof SETTINGS, string>> = {},
): object => readSettings(SETTINGS, { command: 'x', code: 'x.settings' }, env, flags);

test('what is not set has its default', () => {
  assert.deepEqual(read({}), { port: 9_640, poll: 30_000 });
});

test('a flag wins over its variable, and an empty text is none', () => {
  const env = { X_PORT: '1', X_NAME: 'one', X_POLL: '' };
  assert.deepEqual(read(env, { port: '2' }), { port: 2, name: 'one', poll: 30_000 });
});

test('everything that is wrong is named at once, by its variable', () => {
  assert.throws(
    () => read({ X_PORT: '70000', X_NAME: 'One' }),
    (error) => {
      assert.ok(hasCode(error, 'x.settings'));
      assert.match(String(error), /X_PORT: .*; X_NAME: must be a name as Kubernetes has them/);
      return true;
    },
  );
});

suite('what a text becomes', () => {
  const cases: readonly (readonly [z.ZodType, string, unknown])[] = [
    [durationMs, '250ms', 250],
    [durationMs, '1h30m', 5_400_000],
    [durationMs, '7d', 604_800_000],
    [durationMs, '30', undefined],
    [durationMs, 'soon', undefined],
    [durationMs, '-1s', undefined],
    [byteCount, '1024', 1_024],
    [byteCount, '512Mi', 536_870_912],
    [byteCount, '10Gi', 10_737_418_240],
    [byteCount, '10GB', undefined],
    [list, ' a,b  c,', ['a', 'b', 'c']],
    [list, '', []],
    [port, '0', 0],
    [port, '65536', undefined],
    [dnsName, 'node-1.example', 'node-1.example'],
    [dnsName, '-node', undefined],
  ];
  for (const [schema, text, value] of cases) {
    test(`${JSON.stringify(text)}: ${value === undefined ? 'refused' : JSON.stringify(value)}`, () => {
      assert.deepEqual(schema.safeParse(text).data, value);
    });
  }
});
