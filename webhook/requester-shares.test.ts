import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequesterBusy, requesterShares } from './requester-shares.ts';

const SETTINGS = { perSecond: 10, burst: 20, atOnce: 2 };

function isBusyFor(seconds: number): (error: unknown) => boolean {
  return (error) => error instanceof RequesterBusy && error.retryable && error.waitSeconds === seconds;
}

test('who asks for much waits it off, and nobody else does', () => {
  let now = 0;
  const shares = requesterShares(SETTINGS, () => now);
  shares.ask('alice', 1);
  // More than there is: it is allowed once, and owed from then on.
  shares.ask('alice', 600);
  assert.throws(() => {
    shares.ask('alice', 1);
  }, isBusyFor(59));
  shares.ask('bob', 1);
  now += 58_000;
  assert.throws(() => {
    shares.ask('alice', 1);
  }, isBusyFor(1));
  now += 1_000;
  shares.ask('alice', 1);
});

test('what was refused costs nothing', () => {
  let now = 0;
  const shares = requesterShares(SETTINGS, () => now);
  shares.ask('alice', 20);
  for (let tries = 0; tries < 100; tries += 1)
    assert.throws(() => {
      shares.ask('alice', 600);
    }, isBusyFor(1));
  now += 1_000;
  shares.ask('alice', 1);
});

test('so many requests of one are under way at a time, and each that ends makes room', () => {
  const shares = requesterShares(SETTINGS, () => 0);
  const first = shares.begin('alice');
  shares.begin('alice');
  assert.throws(() => shares.begin('alice'), isBusyFor(1));
  shares.begin('bob');
  first[Symbol.dispose]();
  shares.begin('alice');
  assert.throws(() => shares.begin('alice'), isBusyFor(1));
});

test('more requesters than can be remembered are still let in', () => {
  const shares = requesterShares(SETTINGS, () => 0);
  for (let number = 0; number < 10_500; number += 1) shares.ask(`user-${number}`, 5);
  shares.ask('one more', 5);
});
