import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { type Authority, parseAuthority, parseAuthorityCertificate, scopeOfAuthority } from './authority.ts';
import { privateKeyPem } from './key-pair.ts';
import { splitPem } from './pem.ts';

/** A cluster's authorities: one outside a rotation, several during one. */
export interface AuthorityBundle {
  /** Issues every new certificate. */
  readonly signer: Authority;
  /** Trusted by those who have heard of it; will issue once everyone has. */
  readonly next?: IntroducedAuthority;
  /** Issue no more, and their keys are gone. */
  readonly retired: readonly RetiredAuthority[];
}

export interface IntroducedAuthority {
  readonly authority: Authority;
  readonly introduced: Date;
}

export interface RetiredAuthority {
  readonly certificate: X509Certificate;
  /** By then the last certificate that it issued has ended. */
  readonly trustedUntil: Date;
}

/** Everyone whose certificates are taken, the signer first. */
export function trustedAuthorities(bundle: AuthorityBundle): X509Certificate[] {
  return [
    bundle.signer.certificate,
    ...(bundle.next === undefined ? [] : [bundle.next.authority.certificate]),
    ...bundle.retired.map(({ certificate }) => certificate),
  ];
}

/** What every peer gets, as `ca.crt`. */
export function trustPem(bundle: AuthorityBundle): string {
  return trustedAuthorities(bundle)
    .map((certificate) => certificate.toString())
    .join('');
}

const TRUST = 'ca.crt';
const SIGNER_KEY = 'signer.key';
const NEXT_KEY = 'next.key';
const ROTATION = 'rotation.json';

/** The data of the Secret that holds the bundle, in base64 as Kubernetes has it. */
export function toSecretData(bundle: AuthorityBundle): Record<string, string> {
  const { signer, next, retired } = bundle;
  const rotation: z.input<typeof Rotation> = {
    signer: signer.certificate.fingerprint256,
    ...(next === undefined
      ? {}
      : {
          next: {
            fingerprint: next.authority.certificate.fingerprint256,
            introduced: next.introduced.toISOString(),
          },
        }),
    retired: retired.map(({ certificate, trustedUntil }) => ({
      fingerprint: certificate.fingerprint256,
      trustedUntil: trustedUntil.toISOString(),
    })),
  };
  const texts = {
    [TRUST]: trustPem(bundle),
    [SIGNER_KEY]: privateKeyPem(signer.key),
    ...(next === undefined ? {} : { [NEXT_KEY]: privateKeyPem(next.authority.key) }),
    [ROTATION]: JSON.stringify(rotation),
  };
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
}

/**
 * Throws `pki.bundle`, `pki.authority` or `pki.key`, naming `source` and the entry, for data that `toSecretData` didn't
 * write: parts of two states, missing or foreign keys, authorities of several clusters.
 */
export function fromSecretData(data: Readonly<Record<string, string>>, source: string): AuthorityBundle {
  const text = (name: string): string => {
    const value = data[name];
    if (value === undefined) throw broken(source, `has no ${name}`);
    return Buffer.from(value, 'base64').toString('utf8');
  };
  const rotation = parseRotation(text(ROTATION), `${ROTATION} of ${source}`);
  const certificates = new Map(
    splitPem(text(TRUST)).map((pem) => {
      const certificate = parseAuthorityCertificate(pem, `${TRUST} of ${source}`);
      return [certificate.fingerprint256, certificate] as const;
    }),
  );
  const take = (fingerprint: string): X509Certificate => {
    const certificate = certificates.get(fingerprint);
    if (certificate === undefined)
      throw broken(source, `names an authority in ${ROTATION} (${fingerprint}) that ${TRUST} doesn't hold`);
    certificates.delete(fingerprint);
    return certificate;
  };
  const authority = (fingerprint: string, keyName: string): Authority =>
    parseAuthority(
      { pem: take(fingerprint).toString(), source: `${TRUST} of ${source}` },
      { pem: text(keyName), source: `${keyName} of ${source}` },
    );

  const bundle: AuthorityBundle = {
    signer: authority(rotation.signer, SIGNER_KEY),
    ...(rotation.next === undefined
      ? {}
      : {
          next: {
            authority: authority(rotation.next.fingerprint, NEXT_KEY),
            introduced: new Date(rotation.next.introduced),
          },
        }),
    retired: rotation.retired.map(({ fingerprint, trustedUntil }) => ({
      certificate: take(fingerprint),
      trustedUntil: new Date(trustedUntil),
    })),
  };
  if (certificates.size > 0)
    throw broken(source, `has an authority in ${TRUST} that ${ROTATION} doesn't name`);
  const clusters = new Set(trustedAuthorities(bundle).map((one) => scopeOfAuthority(one, source).cluster));
  if (clusters.size > 1)
    throw broken(source, `holds authorities of several clusters: ${[...clusters].join(', ')}`);
  return bundle;
}

const Fingerprint = z.string().regex(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
const Rotation = z.strictObject({
  signer: Fingerprint,
  next: z.strictObject({ fingerprint: Fingerprint, introduced: z.iso.datetime() }).optional(),
  retired: z.array(z.strictObject({ fingerprint: Fingerprint, trustedUntil: z.iso.datetime() })),
});

function parseRotation(text: string, source: string): z.output<typeof Rotation> {
  try {
    return Rotation.parse(JSON.parse(text));
  } catch (error) {
    throw new GuardianError('pki.bundle', `${source} can't be read: ${reasonOf(error)}`, {
      hint: HINT,
      cause: error,
    });
  }
}

const HINT =
  'Restore the Secret as it was written; or delete it: a new authority is created then, and every agent enrols again.';

function broken(source: string, what: string): GuardianError {
  return new GuardianError('pki.bundle', `${source} ${what}`, { hint: HINT });
}
