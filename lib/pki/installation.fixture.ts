import { createPublicKey } from 'node:crypto';
import { type Authority, createAuthority } from './authority.ts';
import { type Credentials, parseCredentials } from './credentials.ts';
import type { PeerIdentity } from './identity.ts';
import { type CertificateOrder, issueCertificate } from './issue-certificate.ts';
import { createKey, privateKeyPem } from './key-pair.ts';

export const CLUSTER = '3f0c1d1e-8c1b-4f3a-9a55-0d6a6f1f2b11';
export const SCOPE = { cluster: CLUSTER, namespace: 'etcd-guardian-system' };
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const NOW = new Date('2026-11-22T08:00:00Z');

export const agentOf = (node: string, cluster = CLUSTER): PeerIdentity => ({ cluster, role: 'agent', node });
export const CONTROL_PLANE: PeerIdentity = { cluster: CLUSTER, role: 'control-plane' };
export const WEBHOOK: PeerIdentity = { cluster: CLUSTER, role: 'webhook' };
export const BREAK_GLASS: PeerIdentity = { cluster: CLUSTER, role: 'break-glass', holder: 'alice' };

export function later(from: Date, ms: number): Date {
  return new Date(from.getTime() + ms);
}

/** A new key with its certificate, and whom its holder trusts (default the authority that issued it). */
export async function credentialsFor(
  authority: Authority,
  identity: PeerIdentity,
  options: { now?: Date; trust?: readonly Authority[] } & Pick<CertificateOrder, 'dnsNames' | 'lifeMs'> = {},
): Promise<Credentials> {
  const { now = new Date(), trust = [authority], ...order } = options;
  const key = await createKey();
  const certificate = issueCertificate(authority, {
    ...order,
    identity,
    now,
    publicKey: createPublicKey(key),
  });
  const ca = trust.map((one) => one.certificate.toString()).join('');
  return parseCredentials({ cert: certificate.toString(), key: privateKeyPem(key), ca }, 'a test');
}

export async function newAuthority(now: Date = new Date(), scope = SCOPE): Promise<Authority> {
  return createAuthority(scope, now);
}
