import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import { parseMoment } from './moment.ts';

const zone = process.env.TZ;

before(() => {
  process.env.TZ = 'Europe/Berlin';
});

after(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

/** A Wednesday in winter, 15:00:10 in Berlin. */
const NOW = new Date('2026-11-25T14:00:10Z');

const meant: readonly (readonly [text: string, moment: string])[] = [
  ['2026-11-22T14:05:00Z', '2026-11-22T14:05:00.000Z'],
  ['2026-11-22t14:05:00.25z', '2026-11-22T14:05:00.250Z'],
  ['2026-11-22T14:05+01:00', '2026-11-22T13:05:00.000Z'],
  ['2026-11-22 14:05:09-02:30', '2026-11-22T16:35:09.000Z'],
  ['2026-11-22 14:05', '2026-11-22T13:05:00.000Z'],
  ['2026-07-01T14:05:30', '2026-07-01T12:05:30.000Z'],
  ['14:05', '2026-11-25T13:05:00.000Z'],
  ['14:05:30', '2026-11-25T13:05:30.000Z'],
  ['15:00:10', '2026-11-25T14:00:10.000Z'],
  ['15:01', '2026-11-24T14:01:00.000Z'],
  ['0:30', '2026-11-24T23:30:00.000Z'],
  ['-15m', '2026-11-25T13:45:10.000Z'],
  ['-1h30m', '2026-11-25T12:30:10.000Z'],
];

for (const [text, moment] of meant) {
  test(`${text} means ${moment}`, () => {
    assert.equal(parseMoment(text, NOW, '--to-time').toISOString(), moment);
  });
}

const refused: readonly (readonly [text: string, why: RegExp, now?: Date])[] = [
  ['', /is not a time/],
  ['yesterday', /is not a time/],
  ['25:00', /is not a time/],
  ['2026-02-30T00:00:00Z', /is not a time/],
  ['2026-11-22', /is not a time/],
  ['22.11.2026 14:05', /is not a time/],
  ['2026-11-25T14:00:11Z', /is still to come/],
  ['2026-10-25 02:30', /twice, at 2026-10-25T00:30:00\.000Z and 2026-10-25T01:30:00\.000Z/],
  ['02:30', /twice/, new Date('2026-10-25T12:00:00Z')],
  ['2026-03-29 02:30', /never showed/],
];

for (const [text, why, now = NOW] of refused) {
  test(`"${text}" is refused: ${why.source}`, () => {
    assert.throws(
      () => parseMoment(text, now, '--to-time'),
      (error) => hasCode(error, 'usage.time') && why.test(error.message) && error.hint !== undefined,
    );
  });
}

test('a time ago that is none is told like any other duration', () => {
  assert.throws(
    () => parseMoment('-15', NOW, '--to-time'),
    (error) => hasCode(error, 'usage.duration'),
  );
});
