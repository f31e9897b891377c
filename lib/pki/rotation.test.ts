import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuthorityBundle, trustedAuthorities } from './authority-bundle.ts';
import { AUTHORITY_LIFE_MS } from './authority.ts';
import { ROLES } from './identity.ts';
import { agentOf, DAY_MS, later, newAuthority, NOW } from './installation.fixture.ts';
import {
  dropAuthorities,
  introduceAuthority,
  nextRotationStep,
  type PeerTrust,
  type RotationStep,
  SETTLING_MS,
  SUCCESSION_MS,
  switchAuthority,
} from './rotation.ts';
import { issueCertificate } from './issue-certificate.ts';
import { createKey } from './key-pair.ts';
import { createPublicKey } from 'node:crypto';
import { verifyCertificate } from './verify-certificate.ts';

const DUE = later(NOW, AUTHORITY_LIFE_MS - SUCCESSION_MS);
const SIGNER_ENDS = later(NOW, AUTHORITY_LIFE_MS);
const young: AuthorityBundle = { signer: await newAuthority(NOW), retired: [] };
const successor = await newAuthority(DUE);
const introduced = introduceAuthority(young, successor, DUE);
const SETTLED = later(DUE, SETTLING_MS);
const switched = switchAuthority(introduced, SETTLED);
const TRUSTED_UNTIL = later(SETTLED, ROLES['break-glass'].lifeMs);

const fingerprint = ({ signer }: AuthorityBundle): string => signer.certificate.fingerprint256;
const OLD = fingerprint(young);
const NEW = successor.certificate.fingerprint256;
const knows: PeerTrust = { name: 'agent of node-1', trusts: [OLD, NEW] };
const unaware: PeerTrust = {
  name: 'agent of node-2',
  trusts: [OLD],
  certificateEnds: later(DUE, 5 * DAY_MS),
};
const webhooks: PeerTrust = { name: 'webhook configuration', trusts: [OLD] };
const wait = (until: Date, ...waitingFor: string[]): RotationStep => ({ kind: 'wait', until, waitingFor });

interface Case {
  readonly what: string;
  readonly bundle: AuthorityBundle;
  readonly peers?: readonly PeerTrust[];
  readonly now: Date;
  readonly requested?: boolean;
  readonly step: RotationStep;
}

const CASES: readonly Case[] = [
  { what: 'a young authority is left alone', bundle: young, now: NOW, step: wait(DUE) },
  {
    what: 'two years before its end it gets a successor',
    bundle: young,
    now: DUE,
    step: { kind: 'introduce' },
  },
  { what: 'or when somebody asks', bundle: young, now: NOW, requested: true, step: { kind: 'introduce' } },
  {
    what: 'a successor is given a day to become known, whatever peers say',
    bundle: introduced,
    peers: [knows],
    now: later(SETTLED, -1),
    step: wait(SETTLED),
  },
  { what: 'then it takes over', bundle: introduced, peers: [knows], now: SETTLED, step: { kind: 'switch' } },
  {
    what: 'a second request while a successor waits changes nothing',
    bundle: introduced,
    peers: [knows],
    now: DUE,
    requested: true,
    step: wait(SETTLED),
  },
  {
    what: 'peers who trust the old one only are waited for, by name',
    bundle: introduced,
    peers: [knows, unaware, webhooks],
    now: SETTLED,
    step: wait(later(DUE, 5 * DAY_MS), 'agent of node-2', 'webhook configuration'),
  },
  {
    what: 'an agent whose certificate has ended is waited for no longer',
    bundle: introduced,
    peers: [knows, unaware],
    now: later(DUE, 5 * DAY_MS),
    step: { kind: 'switch' },
  },
  {
    what: 'one who never says so is waited for until the signer has a month left',
    bundle: introduced,
    peers: [webhooks],
    now: later(DUE, 100 * DAY_MS),
    step: wait(later(SIGNER_ENDS, -30 * DAY_MS), 'webhook configuration'),
  },
  {
    what: 'but not longer',
    bundle: introduced,
    peers: [webhooks],
    now: later(SIGNER_ENDS, -30 * DAY_MS),
    step: { kind: 'switch' },
  },
  {
    what: 'the old one is trusted as long as what it issued may live',
    bundle: switched,
    peers: [knows],
    now: later(TRUSTED_UNTIL, -1),
    step: wait(TRUSTED_UNTIL),
  },
  {
    what: 'and then dropped',
    bundle: switched,
    peers: [knows],
    now: TRUSTED_UNTIL,
    step: { kind: 'drop', fingerprints: [OLD] },
  },
  {
    what: 'also where the next rotation was asked for meanwhile',
    bundle: introduceAuthority(switched, young.signer, TRUSTED_UNTIL),
    peers: [knows],
    now: TRUSTED_UNTIL,
    step: { kind: 'drop', fingerprints: [OLD] },
  },
];

for (const { what, bundle, peers = [], now, requested, step } of CASES) {
  test(what, () => {
    assert.deepEqual(nextRotationStep(bundle, peers, now, requested), step);
  });
}

test('the old authority is never trusted beyond its own end', async () => {
  const late = later(SIGNER_ENDS, -DAY_MS);
  const bundle = switchAuthority(introduceAuthority(young, await newAuthority(late), late), late);
  assert.deepEqual(
    bundle.retired.map(({ trustedUntil }) => trustedUntil),
    [SIGNER_ENDS],
  );
});

test('a switch without a successor changes nothing', () => {
  assert.equal(switchAuthority(young, NOW), young);
});

test('a dropped authority is trusted no more, at once when its key was stolen', () => {
  assert.deepEqual(trustedAuthorities(dropAuthorities(switched, [OLD])), [successor.certificate]);
});

/** Peers hear of a new bundle hours to days late; each takes the current signer's certificate when it renews. */
test('two peers understand each other at every hour of a rotation, whoever heard of it when', async () => {
  const delaysInHours = [0, 1, 30, 80];
  const publicKey = createPublicKey(await createKey());
  let bundle: AuthorityBundle = young;
  const start = DUE;
  const peers = delaysInHours.map((delay, index) => ({
    delay,
    name: `node-${index}`,
    trusts: [young.signer.certificate],
    renewed: 0,
    certificate: issueCertificate(young.signer, {
      identity: agentOf(`node-${index}`),
      publicKey,
      now: start,
    }),
  }));
  const seen: string[] = [];
  let published = { at: 0, authorities: trustedAuthorities(bundle) };

  for (let hour = 0; hour <= 400 * 24; hour += hour < 24 * 14 ? 1 : 24) {
    const now = later(start, hour * 3_600_000);
    const step = nextRotationStep(
      bundle,
      peers.map(({ name, trusts }) => ({ name, trusts: trusts.map((one) => one.fingerprint256) })),
      now,
    );
    if (step.kind !== 'wait') {
      seen.push(`${step.kind} after ${hour} h`);
      if (step.kind === 'introduce') bundle = introduceAuthority(bundle, successor, now);
      if (step.kind === 'switch') bundle = switchAuthority(bundle, now);
      if (step.kind === 'drop') bundle = dropAuthorities(bundle, step.fingerprints);
      published = { at: hour, authorities: trustedAuthorities(bundle) };
    }
    for (const peer of peers) {
      if (hour >= published.at + peer.delay) peer.trusts = published.authorities;
      if (hour >= peer.renewed + 5 * 24 - peer.delay / 10) {
        peer.renewed = hour;
        peer.certificate = issueCertificate(bundle.signer, { identity: agentOf(peer.name), publicKey, now });
      }
    }
    for (const one of peers)
      for (const other of peers)
        verifyCertificate(other.certificate, { authorities: one.trusts, now, usage: 'client' });
  }
  assert.deepEqual(seen, ['introduce after 0 h', 'switch after 81 h', `drop after ${24 * 369} h`]);
});
