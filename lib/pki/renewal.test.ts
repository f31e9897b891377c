import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { agentOf, DAY_MS, newAuthority, NOW } from './installation.fixture.ts';
import { issueCertificate } from './issue-certificate.ts';
import { createKey } from './key-pair.ts';
import { renewalTime } from './renewal.ts';

test('a fleet that enrolled at once renews around two thirds of its life, spread over a fifth of it', async () => {
  const authority = await newAuthority(NOW);
  const publicKey = createPublicKey(await createKey());
  const shares = Array.from({ length: 200 }, (_, index) => {
    const certificate = issueCertificate(authority, {
      identity: agentOf(`node-${index}`),
      publicKey,
      now: NOW,
    });
    const from = certificate.validFromDate.getTime();
    const share = (renewalTime(certificate).getTime() - from) / (certificate.validToDate.getTime() - from);
    assert.deepEqual(renewalTime(certificate), renewalTime(certificate));
    return share;
  });
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  assert.ok(least >= 2 / 3 - 0.1 && least < 2 / 3 - 0.08, `${least}`);
  assert.ok(most <= 2 / 3 + 0.1 && most > 2 / 3 + 0.08, `${most}`);
  const mean = shares.reduce((sum, share) => sum + share) / shares.length;
  assert.ok(Math.abs(mean - 2 / 3) < 0.02, `${mean}`);
});

test('a week leaves more than a day and a half to try again', async () => {
  const authority = await newAuthority(NOW);
  const publicKey = createPublicKey(await createKey());
  for (let node = 0; node < 50; node += 1) {
    const certificate = issueCertificate(authority, {
      identity: agentOf(`node-${node}`),
      publicKey,
      now: NOW,
    });
    assert.ok(certificate.validToDate.getTime() - renewalTime(certificate).getTime() > 1.5 * DAY_MS);
  }
});
