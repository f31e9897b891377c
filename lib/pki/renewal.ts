import type { X509Certificate } from 'node:crypto';

/**
 * When to renew a certificate: at two thirds of its life, a tenth of its life earlier or later. That jitter comes from
 * the certificate itself, so that a fleet enrolled in one minute doesn't renew in one minute, and a restart changes
 * nothing. What is left then is time to try again.
 */
export function renewalTime(certificate: X509Certificate): Date {
  const from = certificate.validFromDate.getTime();
  const life = certificate.validToDate.getTime() - from;
  return new Date(from + life * (2 / 3 + JITTER * (chance(certificate) - 0.5)));
}

const JITTER = 0.2;

/** Evenly spread over 0 to 1, always the same for one certificate: a part of its SHA-256. */
function chance(certificate: X509Certificate): number {
  return Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').readUInt32BE(0) / 2 ** 32;
}
