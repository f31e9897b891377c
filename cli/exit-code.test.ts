import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GuardianError } from '../lib/guardian-error.ts';
import { CODES_BY_KIND, EXIT_CODE_HELP, EXIT_CODES, exitCodeOf, kindOf } from './exit-code.ts';

const ROOT = join(import.meta.dirname, '..');
const SOURCES = globSync('{lib,cli,agent,controlplane,webhook}/**/*.ts', { cwd: ROOT })
  .filter((file) => !/\.(test|conformance|fixture)\.ts$|conformance-|exit-code\.ts$/.test(file))
  .map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
const RULED = Object.values(CODES_BY_KIND).flat();
const ROOMS = new Set([...RULED, 'usage.', 'bolt.', 'mvcc.', 'file.'].map((code) => code.split('.')[0]));

test('every code that the source can give has a rule', () => {
  const without = [...codesInSource()].filter(([code]) => kindOf(code) === undefined);
  assert.deepEqual(without, [], 'decide what its exit status is, in exit-code.ts');
});

test('every rule is for a code that the source can give, and each code has one', () => {
  const known = codesInSource();
  assert.deepEqual(
    RULED.filter((code) => !known.has(code)),
    [],
  );
  assert.deepEqual(
    RULED.filter((code, at) => RULED.indexOf(code) !== at),
    [],
  );
});

const EXAMPLES: readonly (readonly [code: string, status: number])[] = [
  ['usage.store', 2],
  ['restore.initial-cluster', 2],
  ['bolt.page-order', 3],
  ['signature.missing', 3],
  ['repository.not-found', 4],
  ['mvcc.compacted', 4],
  ['point.gap', 4],
  ['point.break', 3],
  ['capture.superseded', 7],
  ['capture.compacted', 1],
  ['keys.malformed', 5],
  ['etcd.tls', 5],
  ['store.busy', 6],
  ['keys.exists', 1],
  ['restore.data-dir-exists', 1],
  ['nobody.knows', 1],
];

for (const [code, status] of EXAMPLES) {
  test(`${code} ends with ${status}`, () => {
    assert.equal(exitCodeOf(new GuardianError(code, 'it failed')), status);
  });
}

test('a store that can’t be reached may be tried again, unless its certificate isn’t trusted', () => {
  const unreachable = (retryable: boolean): number =>
    exitCodeOf(new GuardianError('store.unreachable', 'it failed', { retryable }));
  assert.deepEqual([unreachable(true), unreachable(false)], [6, 5]);
});

test('what nobody foresaw has failed', () => {
  for (const thrown of [new Error('a defect'), 'a text', undefined]) assert.equal(exitCodeOf(thrown), 1);
});

test('the help lists each status once', () => {
  const listed = [...EXIT_CODE_HELP.matchAll(/^ {2}(\d+) /gm)].map(([, status]) => Number(status));
  assert.deepEqual(listed, Object.values(EXIT_CODES));
});

/** By code, a file that gives it. */
function codesInSource(): Map<string, string> {
  const codes = new Map<string, string>();
  for (const { file, text } of SOURCES) {
    const literals = [...text.matchAll(/'([a-z]+\.(?!(?:json|service)')[a-z][a-z0-9-]*)'/g)].map(
      ([, code = '']) => code,
    );
    const thrown = [...text.matchAll(/new GuardianError\(\s*'([^']*)'/g)].map(([, code = '']) => code);
    for (const code of [...literals.filter((one) => ROOMS.has(one.split('.')[0])), ...thrown])
      codes.set(code, file);
  }
  return codes;
}
