import type { Authority } from './authority.ts';
import type { AuthorityBundle } from './authority-bundle.ts';
import { ROLES } from './identity.ts';

/** What is known of one who has to trust our certificates: an agent, a replica, the webhook configurations. */
export interface PeerTrust {
  /** For status: `agent of node-1`. */
  readonly name: string;
  /** SHA-256 fingerprints of the authorities that it trusts, as `X509Certificate` spells them. */
  readonly trusts: readonly string[];
  /** When its own certificate ends. From then on it must enrol anew, and learns of every authority by that. */
  readonly certificateEnds?: Date;
}

export type RotationStep =
  /** Nothing to do before then, or before the named peers trust the next authority. */
  | { readonly kind: 'wait'; readonly until: Date; readonly waitingFor: readonly string[] }
  /** Create the next authority, and give everyone the new bundle. */
  | { readonly kind: 'introduce' }
  /** The next authority issues from now on. */
  | { readonly kind: 'switch' }
  /** Nobody needs these retired authorities any more. */
  | { readonly kind: 'drop'; readonly fingerprints: readonly string[] };

const DAY_MS = 86_400_000;

/** Mounted Secrets and ConfigMaps, caches and open sessions have the new bundle by then. */
export const SETTLING_MS = DAY_MS;
/** How long before its end an authority gets a successor. */
export const SUCCESSION_MS = 2 * 365 * DAY_MS;
/** The signer must outlive what it issues by itself: from this time before its end on, nobody is waited for. */
const LAST_CALL_MS = Math.max(
  ...[ROLES.agent, ROLES['control-plane'], ROLES.webhook].map((role) => role.lifeMs),
);
const LONGEST_LIFE_MS = Math.max(...Object.values(ROLES).map(({ lifeMs }) => lifeMs));

/**
 * What to do next about a cluster's authorities; one step at a time, until it says to wait. The successor is trusted by
 * everyone before it issues anything, and the predecessor until what it issued has ended, so that two peers understand
 * each other at every moment. `peers` are all who have to.
 *
 * `requested`: somebody wants a new authority now.
 */
export function nextRotationStep(
  bundle: AuthorityBundle,
  peers: readonly PeerTrust[],
  now: Date,
  requested = false,
): RotationStep {
  const over = bundle.retired.filter(({ trustedUntil }) => trustedUntil <= now);
  if (over.length > 0) {
    return { kind: 'drop', fingerprints: over.map(({ certificate }) => certificate.fingerprint256) };
  }
  const { signer, next, retired } = bundle;
  const signerEnds = signer.certificate.validToDate.getTime();
  const drops = retired.map(({ trustedUntil }) => trustedUntil.getTime());

  if (next === undefined) {
    const due = signerEnds - SUCCESSION_MS;
    if (requested || now.getTime() >= due) return { kind: 'introduce' };
    return { kind: 'wait', until: new Date(Math.min(due, ...drops)), waitingFor: [] };
  }

  const lastCall = signerEnds - LAST_CALL_MS;
  if (now.getTime() >= lastCall) return { kind: 'switch' };
  const settled = next.introduced.getTime() + SETTLING_MS;
  const { fingerprint256 } = next.authority.certificate;
  const unaware = peers.filter(
    ({ trusts, certificateEnds }) =>
      !trusts.includes(fingerprint256) && (certificateEnds === undefined || certificateEnds > now),
  );
  if (unaware.length === 0 && now.getTime() >= settled) return { kind: 'switch' };
  const ends = unaware.flatMap(({ certificateEnds }) => certificateEnds?.getTime() ?? []);
  const changes = [settled, lastCall, ...ends, ...drops].filter((time) => time > now.getTime());
  return {
    kind: 'wait',
    until: new Date(Math.min(...changes)),
    waitingFor: unaware.map(({ name }) => name),
  };
}

/** The bundle after an `introduce`. */
export function introduceAuthority(
  bundle: AuthorityBundle,
  authority: Authority,
  now: Date,
): AuthorityBundle {
  return { ...bundle, next: { authority, introduced: now } };
}

/** The bundle after a `switch`: the old signer's key is gone from it. Without a next authority nothing changes. */
export function switchAuthority(bundle: AuthorityBundle, now: Date): AuthorityBundle {
  const { signer, next, retired } = bundle;
  if (next === undefined) return bundle;
  const { certificate } = signer;
  const trustedUntil = new Date(Math.min(certificate.validToDate.getTime(), now.getTime() + LONGEST_LIFE_MS));
  return { signer: next.authority, retired: [...retired, { certificate, trustedUntil }] };
}

/**
 * The bundle after a `drop`. Also for a stolen key: rotate, then drop the old authority without waiting; whatever it
 * issued is refused from then on, break-glass identities included.
 */
export function dropAuthorities(bundle: AuthorityBundle, fingerprints: readonly string[]): AuthorityBundle {
  const retired = bundle.retired.filter(
    ({ certificate }) => !fingerprints.includes(certificate.fingerprint256),
  );
  return { ...bundle, retired };
}
