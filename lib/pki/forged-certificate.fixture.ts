import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import * as der from './der.ts';
import { DAY_MS, later } from './installation.fixture.ts';
import { type Extension, signCertificate } from './sign-certificate.ts';
import { USAGE_OIDS } from './verify-certificate.ts';

export interface ForgedCertificate {
  /** Of the holder. */
  readonly key: KeyObject;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Bytes of an IP address. */
  readonly addresses?: readonly Uint8Array[];
  /** Default both ends' of a connection. */
  readonly usages?: readonly string[];
  readonly isAuthority?: boolean;
  readonly subject?: string;
  readonly now: Date;
  /** Default it signs itself. */
  readonly issuer?: { readonly certificate: X509Certificate; readonly key: KeyObject };
}

/** A certificate that nobody of ours issues: names and usages as given, signed by whom it suits, for a day. */
export function forgedCertificate(content: ForgedCertificate): X509Certificate {
  const { key, uris = [], dnsNames = [], addresses = [], now, issuer, subject = 'forged' } = content;
  const { usages = Object.values(USAGE_OIDS), isAuthority = false } = content;
  const constraints = isAuthority ? der.sequence(der.boolean(true)) : der.sequence();
  const extensions: Extension[] = [{ oid: '2.5.29.19', critical: true, value: constraints }];
  const names = [
    ...uris.map((uri) => der.taggedBytes(6, Buffer.from(uri))),
    ...dnsNames.map((name) => der.taggedBytes(2, Buffer.from(name))),
    ...addresses.map((address) => der.taggedBytes(7, address)),
  ];
  if (names.length > 0) extensions.push({ oid: '2.5.29.17', critical: false, value: der.sequence(...names) });
  if (usages.length > 0) {
    const value = der.sequence(...usages.map((usage) => der.oid(usage)));
    extensions.push({ oid: '2.5.29.37', critical: false, value });
  }
  return signCertificate(
    {
      subject,
      issuer: issuer === undefined ? subject : commonNameOf(issuer.certificate),
      notBefore: later(now, -DAY_MS),
      notAfter: later(now, DAY_MS),
      publicKey: createPublicKey(key),
      extensions,
    },
    issuer?.key ?? key,
  );
}

export function commonNameOf(certificate: X509Certificate): string {
  return /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? '';
}
