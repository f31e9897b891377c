import { createAuthority } from '../../lib/pki/authority.ts';
import type { AuthorityBundle } from '../../lib/pki/authority-bundle.ts';
import {
  dropAuthorities,
  introduceAuthority,
  nextRotationStep,
  type PeerTrust,
  switchAuthority,
} from '../../lib/pki/rotation.ts';
import type { Secret } from '../core-resources.ts';
import type { AuthorityStore, StoredAuthority } from './authority-store.ts';

/** On the authority's Secret, with any value: make a new authority now. Taken away when that has begun. */
export const ROTATE = 'etcdguardian.io/rotate';
/**
 * On the authority's Secret, with any value: trust no retired authority any more, since a key was stolen. Whatever they
 * issued is refused from then on, break-glass identities included. Taken away when it is done.
 */
export const DROP_RETIRED = 'etcdguardian.io/drop-retired';

export interface RotationAdvance {
  readonly stored: StoredAuthority;
  /** For people; undefined when nothing was done. */
  readonly done: { readonly reason: string; readonly message: string } | undefined;
  /** When to look again at the latest. */
  readonly until: Date;
  readonly waitingFor: readonly string[];
}

/** One step of the rotation, written over exactly what was read. */
export async function advanceRotation(
  store: AuthorityStore,
  stored: StoredAuthority,
  peers: readonly PeerTrust[],
  now: Date,
  signal: AbortSignal,
): Promise<RotationAdvance> {
  const { bundle } = stored;
  const write = async (
    next: AuthorityBundle,
    annotation: string | undefined,
    reason: string,
    message: string,
  ): Promise<RotationAdvance> => {
    const annotations = annotation === undefined ? {} : { [annotation]: null };
    return {
      stored: await store.write(stored, next, annotations, signal),
      ...{ done: { reason, message }, until: now, waitingFor: [] },
    };
  };
  if (isAsked(stored.secret, DROP_RETIRED)) {
    const retired = bundle.retired.map(({ certificate }) => certificate.fingerprint256);
    const message = `${retired.length} retired authorities are trusted no more, as was asked for`;
    return write(dropAuthorities(bundle, retired), DROP_RETIRED, 'AuthoritiesDropped', message);
  }
  const step = nextRotationStep(bundle, peers, now, isAsked(stored.secret, ROTATE));
  switch (step.kind) {
    case 'introduce': {
      const authority = await createAuthority(bundle.signer.scope, now);
      const message = `a new authority is made known; it issues when all trust it, in a day at the soonest`;
      return write(introduceAuthority(bundle, authority, now), ROTATE, 'AuthorityIntroduced', message);
    }
    case 'switch':
      return write(
        switchAuthority(bundle, now),
        undefined,
        'AuthoritySwitched',
        'the new authority issues from now on',
      );
    case 'drop':
      return write(
        dropAuthorities(bundle, step.fingerprints),
        undefined,
        'AuthoritiesDropped',
        'what a retired authority had issued has ended: it is trusted no more',
      );
    case 'wait':
      return { stored, done: undefined, until: step.until, waitingFor: step.waitingFor };
  }
}

function isAsked(secret: Secret, annotation: string): boolean {
  return secret.metadata.annotations?.[annotation] !== undefined;
}
