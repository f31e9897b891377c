import { type AuthorityBundle, trustedAuthorities } from '../../lib/pki/authority-bundle.ts';
import { ROLES } from '../../lib/pki/identity.ts';
import type { PeerTrust } from '../../lib/pki/rotation.ts';
import type { KnownAgent } from '../agents/agent-directory.ts';

/**
 * Which authorities agents trust, from when their certificates were issued: with each certificate an agent gets all the
 * authorities of that day. One that never answered can't hold a certificate from before the next authority for longer
 * than certificates live.
 */
export function agentTrust(agents: readonly KnownAgent[], bundle: AuthorityBundle): PeerTrust[] {
  const all = trustedAuthorities(bundle).map(({ fingerprint256 }) => fingerprint256);
  const { next } = bundle;
  const before = all.filter((one) => one !== next?.authority.certificate.fingerprint256);
  return agents.map(({ node, description }) => {
    const name = `agent of ${node}`;
    if (next === undefined) return { name, trusts: all };
    const introduced = next.introduced.getTime();
    if (description === undefined || description.certificateEndsMs === 0)
      return { name, trusts: before, certificateEnds: new Date(introduced + LIFE_MS) };
    const issued = description.certificateEndsMs - LIFE_MS;
    return {
      name,
      trusts: issued >= introduced + HEARD_MS ? all : before,
      certificateEnds: new Date(description.certificateEndsMs),
    };
  });
}

const LIFE_MS = ROLES.agent.lifeMs;
/** Every replica, which may have issued it, has read the authority again by then. */
const HEARD_MS = 300_000;

/** A certificate whose renewal is overdue, so that somebody should look. */
export interface ExpiringCertificate {
  readonly agent: KnownAgent;
  readonly ends: Date;
  readonly expired: boolean;
}

/** Renewal comes at two thirds, a tenth later at most; who has less than a fifth left has tried in vain. */
export function expiringCertificates(agents: readonly KnownAgent[], now: Date): ExpiringCertificate[] {
  return agents.flatMap((agent) => {
    const endsMs = agent.description?.certificateEndsMs ?? 0;
    if (endsMs === 0 || endsMs - now.getTime() > LIFE_MS / 5) return [];
    return [{ agent, ends: new Date(endsMs), expired: endsMs <= now.getTime() }];
  });
}
