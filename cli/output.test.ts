import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import {
  age,
  bytes,
  count,
  duration,
  fields,
  type OutputFormat,
  parseOutputFormat,
  print,
  table,
} from './output.ts';

const NOW = new Date('2026-11-22T05:30:00.000Z');

test('one document goes to stdout, in the format that was asked for', () => {
  const value = { revision: 2n ** 63n, at: NOW, missing: undefined, list: [{ id: 1n }] };
  const printed = (format: OutputFormat): string => {
    let text = '';
    const output = { write: (part: string) => (text += part) };
    const terminal = { stdout: output, stderr: output, env: {}, signal: new AbortController().signal };
    print(terminal, format, value, () => 'for people');
    return text;
  };
  const plain = { revision: '9223372036854775808', at: '2026-11-22T05:30:00.000Z', list: [{ id: '1' }] };
  assert.deepEqual(JSON.parse(printed('json')), plain);
  assert.equal(
    printed('yaml'),
    'revision: "9223372036854775808"\nat: 2026-11-22T05:30:00.000Z\nlist:\n  - id: "1"\n',
  );
  assert.equal(printed('table'), 'for people\n');
});

test('an unknown format is a wrong command line', () => {
  assert.equal(parseOutputFormat('yaml'), 'yaml');
  assert.throws(
    () => parseOutputFormat('xml'),
    (error) => hasCode(error, 'usage.output') && error.hint === 'use one of table, json, yaml',
  );
});

test('columns are as wide as what is in them, and lines end where their text does', () => {
  assert.equal(
    table(
      ['ID', 'SIZE', 'STATE'],
      [
        ['a', '1 GiB', ''],
        ['longer', '2 B', 'sound'],
      ],
    ),
    'ID      SIZE   STATE\na       1 GiB\nlonger  2 B    sound\n',
  );
  assert.equal(table(['ID', 'SIZE'], []), 'ID  SIZE\n');
});

test('fields without a value are left out', () => {
  const shown = fields([
    ['id', 'a'],
    ['nothing', undefined],
    ['location', 'there'],
  ]);
  assert.equal(shown, 'id:       a\nlocation: there\n');
  assert.equal(fields([['nothing', undefined]]), '');
});

const SIZES: readonly (readonly [number, string])[] = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [102_348, '99.9 KiB'],
  [102_398, '100 KiB'],
  [1_048_063, '1023 KiB'],
  [1_048_575, '1.0 MiB'],
  [3_328_599_655, '3.1 GiB'],
  [5 * 1024 ** 5, '5120 TiB'],
];

const DURATIONS: readonly (readonly [number, string])[] = [
  [0, '0 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [12_449, '12.4 s'],
  [59_949, '59.9 s'],
  [59_960, '1 min 0 s'],
  [119_700, '2 min 0 s'],
  [200_000, '3 min 20 s'],
  [3_599_700, '1 h 0 min'],
  [7_199_000, '2 h 0 min'],
  [90_061_000, '25 h 1 min'],
];

test('bytes and durations are rounded once, up to the next unit where they reach it', () => {
  for (const [size, text] of SIZES) assert.equal(bytes(size), text);
  for (const [milliseconds, text] of DURATIONS) assert.equal(duration(milliseconds), text);
});

test('an age is coarse, and what lies ahead of our clock is of now', () => {
  const ages: readonly (readonly [string, string])[] = [
    ['2026-11-22T06:30:00Z', '0m'],
    ['2026-11-22T05:29:01Z', '0m'],
    ['2026-11-22T04:31:00Z', '59m'],
    ['2026-11-20T05:31:00Z', '47h'],
    ['2026-11-20T05:30:00Z', '2d'],
  ];
  for (const [then, text] of ages) assert.equal(age(new Date(then), NOW), text, then);
  assert.equal(count(1_234_567n), '1,234,567');
});
