import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

test('docs/verification.md explains every problem that a verdict can name', async () => {
  const root = join(import.meta.dirname, '..', '..', '..');
  const docs = await readFile(join(root, 'docs', 'verification.md'), 'utf8');
  const codes = new Set<string>();
  for (const room of ['bolt', 'mvcc']) {
    const folder = join(root, 'lib', 'etcd', room);
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const source = await readFile(join(folder, name), 'utf8');
      for (const [, code] of source.matchAll(/(?:code: |report\([^']{0,20})'([a-z]+\.[a-z-]+)'/g)) {
        if (code !== undefined) codes.add(code);
      }
    }
  }
  assert.ok(codes.size > 20);
  const missing = [...codes].filter((code) => !docs.includes(`\`${code}\``));
  assert.deepEqual(missing, []);
});
