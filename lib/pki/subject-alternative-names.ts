import type { X509Certificate } from 'node:crypto';

/** The URIs among a certificate's names; undefined when its names hold anything that ours never do. */
export function uriNames(certificate: X509Certificate): string[] | undefined {
  return names(certificate, 'URI:');
}

/** The DNS names among a certificate's names; undefined when its names hold anything that ours never do. */
export function dnsNames(certificate: X509Certificate): string[] | undefined {
  return names(certificate, 'DNS:');
}

/**
 * Node joins the names with `, ` and puts those with a comma, a quote or a control character in quotes. Ours have none
 * of these, so that a text with any quote isn't taken apart at all.
 */
function names(certificate: X509Certificate, kind: string): string[] | undefined {
  const text = certificate.subjectAltName ?? '';
  if (text.includes('"')) return undefined;
  return text
    .split(', ')
    .filter((name) => name.startsWith(kind))
    .map((name) => name.slice(kind.length));
}
