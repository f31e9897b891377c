/** The certificates in a text, each a PEM of its own; what stands between them is ignored, as PEM readers do. */
export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
