import { createPublicKey } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type AuthorityBundle, trustPem } from '../../lib/pki/authority-bundle.ts';
import type { CredentialSource } from '../../lib/pki/credential-folder.ts';
import { type Credentials, parseCredentials } from '../../lib/pki/credentials.ts';
import { issueCertificate } from '../../lib/pki/issue-certificate.ts';
import { createKey, privateKeyPem } from '../../lib/pki/key-pair.ts';
import { renewalTime } from '../../lib/pki/renewal.ts';

/**
 * The authority as this replica knows it, and the replica's own certificate, which lives in memory only and is made anew
 * when two thirds of its life are over or the authorities change. As a source it rejects with `controlplane.no-authority`
 * (retryable) until the authority is known.
 */
export interface CertificateKeeper extends CredentialSource {
  /** Undefined as long as nothing good was read. */
  readonly bundle: AuthorityBundle | undefined;
  /** What was read, good for issuing from now on. */
  learn(bundle: AuthorityBundle): void;
  /** Why it couldn't be read the last time; what was good before stays. */
  complain(problem: string): void;
  /** Resolves when an authority is known; rejects with the signal's reason. */
  ready(signal: AbortSignal): Promise<void>;
  /** Calls `listener` whenever another authority is known; what comes back ends it. */
  onChange(listener: () => void): () => void;
}

/** `dnsName`: of our Service, e.g. `etcdguardian-controlplane.etcd-guardian-system.svc`. */
export function certificateKeeper(dnsName: string, clock: Clock): CertificateKeeper {
  const listeners = new Set<() => void>();
  let bundle: AuthorityBundle | undefined;
  let own: { readonly credentials: Credentials; readonly trust: string; readonly signer: string } | undefined;
  let complaint: string | undefined;
  let issuing: Promise<Credentials> | undefined;

  const isCurrent = (known: AuthorityBundle): boolean =>
    own?.signer === known.signer.certificate.fingerprint256 &&
    own.trust === trustPem(known) &&
    clock() >= own.credentials.certificate.validFromDate &&
    clock() < renewalTime(own.credentials.certificate);

  const issue = async (known: AuthorityBundle): Promise<Credentials> => {
    const key = await createKey();
    const { cluster } = known.signer.scope;
    const certificate = issueCertificate(known.signer, {
      identity: { cluster, role: 'control-plane' },
      publicKey: createPublicKey(key),
      dnsNames: [dnsName],
      now: clock(),
    });
    const trust = trustPem(known);
    const credentials = parseCredentials(
      { cert: certificate.toString(), key: privateKeyPem(key), ca: trust },
      'the control plane',
    );
    own = { credentials, trust, signer: known.signer.certificate.fingerprint256 };
    return credentials;
  };

  return {
    get bundle() {
      return bundle;
    },
    get complaint() {
      return complaint;
    },
    async current() {
      if (bundle === undefined) {
        throw new GuardianError(
          'controlplane.no-authority',
          `our certificate authority is not known${complaint === undefined ? ' yet' : `: ${complaint}`}`,
          {
            hint: 'Look at the log of the control plane for the Secret with the authority.',
            retryable: true,
          },
        );
      }
      if (own !== undefined && isCurrent(bundle)) return own.credentials;
      const known = bundle;
      issuing ??= issue(known).finally(() => {
        issuing = undefined;
      });
      return issuing;
    },
    learn(fresh) {
      complaint = undefined;
      const changed = bundle === undefined || trustPem(bundle) !== trustPem(fresh);
      bundle = fresh;
      if (changed) for (const listener of listeners) listener();
    },
    complain(problem) {
      complaint = problem;
    },
    async ready(signal) {
      signal.throwIfAborted();
      if (bundle !== undefined) return;
      const { promise, resolve, reject } = Promise.withResolvers<undefined>();
      const known = (): void => {
        resolve(undefined);
      };
      const ended = (): void => {
        reject(signal.reason as Error);
      };
      listeners.add(known);
      signal.addEventListener('abort', ended, { once: true });
      try {
        await promise;
      } finally {
        listeners.delete(known);
        signal.removeEventListener('abort', ended);
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
