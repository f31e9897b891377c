import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pinnedTools } from '../../tools/pinned.ts';
import { ETCD_VERSIONS, needs, requireTool } from './tools.ts';

test('every etcd version that tests run is pinned', () => {
  const pinned = pinnedTools.filter((tool) => tool.name === 'etcd').map((tool) => tool.version);
  assert.deepEqual(pinned, [...ETCD_VERSIONS]);
});

test('what is missing is named, with the way to get it', () => {
  assert.throws(() => requireTool('etcd', '0.0.1'), /no etcd 0\.0\.1 .* run `make tools`/);
});

test('a missing tool skips a test loudly, and in CI fails it', (t) => {
  const { CI } = process.env;
  t.after(() => {
    if (CI === undefined) delete process.env.CI;
    else process.env.CI = CI;
  });
  delete process.env.CI;
  assert.deepEqual(needs('no-such-tool'), { skip: 'NOT RUN: no no-such-tool; `make tools` fetches it' });
  process.env.CI = 'true';
  assert.deepEqual(needs('no-such-tool'), {});
});
