import { createCipheriv, type KeyObject, randomBytes, scryptSync } from 'node:crypto';

/**
 * A private key as PEM, encrypted under a passphrase the way `openssl pkey` reads it: PKCS#8, PBES2 (RFC 8018) with
 * scrypt (RFC 7914) and AES-256-CBC. Node's own export stretches the passphrase with 2,048 rounds of SHA-256 only.
 */
export function encryptedPem(key: KeyObject, passphrase: string): string {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const kek = scryptSync(passphrase, salt, 32, SCRYPT);
  const cipher = createCipheriv('aes-256-cbc', kek, iv);
  const encrypted = Buffer.concat([
    cipher.update(key.export({ format: 'der', type: 'pkcs8' })),
    cipher.final(),
  ]);

  const stretching = sequence(
    OID_SCRYPT,
    sequence(octets(salt), integer(SCRYPT.N), integer(SCRYPT.r), integer(SCRYPT.p)),
  );
  const encryption = sequence(OID_AES_256_CBC, octets(iv));
  const scheme = sequence(OID_PBES2, sequence(stretching, encryption));
  return pemBlock('ENCRYPTED PRIVATE KEY', sequence(scheme, octets(encrypted)));
}

export function pemBlock(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** 16 MiB and about 130 ms a guess; more memory would pass the limit that OpenSSL sets when reading. */
const SCRYPT = { N: 2 ** 14, r: 8, p: 5 };

const OID_PBES2 = Buffer.from('06092a864886f70d01050d', 'hex');
const OID_SCRYPT = Buffer.from('06092b06010401da47040b', 'hex');
const OID_AES_256_CBC = Buffer.from('060960864801650304012a', 'hex');

function sequence(...elements: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(elements));
}

function octets(bytes: Buffer): Buffer {
  return der(0x04, bytes);
}

function integer(value: number): Buffer {
  const hex = value.toString(16);
  const digits = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  const negative = ((digits[0] ?? 0) & 0x80) !== 0;
  return der(0x02, negative ? Buffer.concat([Buffer.alloc(1), digits]) : digits);
}

/** Tag, length in DER's shortest form, content; for content under 64 KiB. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const short = [length];
  const long = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...(length < 0x80 ? short : long)]), content]);
}
