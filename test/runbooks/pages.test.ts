import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runbooks } from './runbooks.ts';

test('every page of docs/OPERATIONS.md has commands, and a test that runs all of them', async () => {
  const pages = await runbooks();
  const here = import.meta.dirname;
  const tests = (await readdir(here)).filter((name) => name.endsWith('.server.test.ts'));
  const texts = await Promise.all(tests.map((name) => readFile(join(here, name), 'utf8')));
  const run = new Set(
    texts.flatMap((text) =>
      Array.from(text.matchAll(/\.done\(([\d, ]+)\)/g), ([, list = '']) =>
        list.split(',').map(Number),
      ).flat(),
    ),
  );
  const numbers = [...pages.keys()].filter((page) => page >= 0);
  assert.deepEqual(
    numbers,
    numbers.map((_, at) => at),
  );
  assert.ok(numbers.length > 8);
  for (const [page, blocks] of pages) {
    assert.ok(blocks.length > 0, `page ${page}`);
    if (page >= 0) assert.ok(run.has(page), `page ${page} is run by no test`);
  }
});
