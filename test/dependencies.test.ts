import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';

/** Licences (SPDX) that an Apache-2.0 program may be shipped with. */
const COMPATIBLE = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
]);

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dev: z.boolean().optional(),
      license: z.string().optional(),
      dependencies: z.record(z.string(), z.string()).optional(),
      devDependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

const root = join(import.meta.dirname, '..');
const { packages } = Lock.parse(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')));

test('every package that the product runs with has a licence that goes with Apache-2.0', () => {
  const others = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .filter(
      ([, { license = 'none' }]) =>
        !license
          .replace(/[()]/g, '')
          .split(' OR ')
          .some((one) => COMPATIBLE.has(one)),
    )
    .map(([path, { license = 'none' }]) => `${path}: ${license}`);
  assert.deepEqual(others, []);
});

test('docs/dependencies.md names each direct dependency', async () => {
  const document = await readFile(join(root, 'docs', 'dependencies.md'), 'utf8');
  const direct = Object.keys({ ...packages['']?.dependencies, ...packages['']?.devDependencies });
  assert.deepEqual(
    direct.filter((name) => !document.includes(`\`${name}\``)),
    [],
  );
});
