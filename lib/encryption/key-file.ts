import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { aesKeyId, aesKeyOf } from './aes-key.ts';
import { type Keys, requireLabel } from './keys.ts';
import { recoveryKeyId } from './recovery-key.ts';
import { signingKeyId } from './signing-key.ts';

/**
 * The text of a key file: JSON; AES keys are their 32 bytes, all others DER (PKCS#8 and SPKI), in base64. Each key
 * stands beside its id, which follows from the key: a slip in either is noticed when the file is read.
 */
export function formatKeyFile(keys: Keys): string {
  const { label, createdAt, encryptionKey, signingKey, recoveryKey, previous } = keys;
  const file: z.input<typeof keyFileSchema> = {
    format: FORMAT,
    label,
    createdAt: createdAt.toISOString(),
    encryptionKey: secretEntry(encryptionKey),
    signingKey: privateEntry(signingKeyId(createPublicKey(signingKey)), signingKey),
    recoveryKey: publicEntry(recoveryKeyId(recoveryKey), recoveryKey),
    previous: {
      encryptionKeys: previous.encryptionKeys.map(secretEntry),
      recoveryKeys: previous.recoveryKeys.map((key) => privateEntry(recoveryKeyId(key), key)),
      trustedSigners: previous.trustedSigners.map((key) => publicEntry(signingKeyId(key), key)),
    },
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** Rejects with `keys.malformed`, and with `keys.format` for a file of a later version. `from` names it in errors. */
export function parseKeyFile(text: string, from: string): Keys {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which is secret.
    throw malformed(from, 'it is not JSON');
  }
  const format = z.object({ format: z.string() }).safeParse(json);
  if (format.success && format.data.format !== FORMAT) {
    throw new GuardianError(
      'keys.format',
      `${from} is a key file of format ${JSON.stringify(format.data.format)}`,
      {
        hint: `This program reads ${FORMAT}. Use the version of etcdguardian that wrote it, or a later one.`,
      },
    );
  }
  const file = keyFileSchema.safeParse(json);
  if (!file.success) {
    throw malformed(
      from,
      file.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    );
  }
  const { label, createdAt, encryptionKey, signingKey, recoveryKey, previous } = file.data;
  return { label, createdAt: new Date(createdAt), encryptionKey, signingKey, recoveryKey, previous };
}

const FORMAT = 'etcdguardian-key-file/1';

const base64 = z.base64().transform((text, check) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text)
    check.addIssue({ code: 'custom', message: 'bits left over in base64' });
  return bytes;
});

const secretKey = z
  .strictObject({ id: z.string(), key: base64 })
  .transform(({ id, key }, check) => keyOf(check, id, () => aesKeyOf(key), aesKeyId));

const privateSigner = z
  .strictObject({ id: z.string(), privateKey: base64 })
  .transform(({ id, privateKey }, check) =>
    keyOf(
      check,
      id,
      () => privateFrom(privateKey),
      (key) => signingKeyId(createPublicKey(key)),
    ),
  );

const publicSigner = z
  .strictObject({ id: z.string(), publicKey: base64 })
  .transform(({ id, publicKey }, check) => keyOf(check, id, () => publicFrom(publicKey), signingKeyId));

const publicRecovery = z
  .strictObject({ id: z.string(), publicKey: base64 })
  .transform(({ id, publicKey }, check) => keyOf(check, id, () => publicFrom(publicKey), recoveryKeyId));

const privateRecovery = z
  .strictObject({ id: z.string(), privateKey: base64 })
  .transform(({ id, privateKey }, check) => keyOf(check, id, () => privateFrom(privateKey), recoveryKeyId));

const keyFileSchema = z.strictObject({
  format: z.literal(FORMAT),
  label: z.string().refine((label) => isLabel(label), 'not a label'),
  createdAt: z.iso.datetime(),
  encryptionKey: secretKey,
  signingKey: privateSigner,
  recoveryKey: publicRecovery,
  previous: z.strictObject({
    encryptionKeys: z.array(secretKey),
    recoveryKeys: z.array(privateRecovery),
    trustedSigners: z.array(publicSigner),
  }),
});

function keyOf(
  check: z.RefinementCtx,
  id: string,
  read: () => KeyObject,
  idOf: (key: KeyObject) => string,
): KeyObject {
  try {
    const key = read();
    if (idOf(key) === id) return key;
    check.addIssue({ code: 'custom', message: `the key does not belong to its id ${id}` });
  } catch (error) {
    check.addIssue({ code: 'custom', message: reasonOf(error) });
  }
  return z.NEVER;
}

function privateFrom(key: Buffer): KeyObject {
  const read = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  requireSame(key, read.export({ format: 'der', type: 'pkcs8' }));
  return read;
}

function publicFrom(key: Buffer): KeyObject {
  const read = createPublicKey({ key, format: 'der', type: 'spki' });
  requireSame(key, read.export({ format: 'der', type: 'spki' }));
  return read;
}

/** Nothing stands in the file that the key does not account for, such as bytes behind it. */
function requireSame(written: Buffer, meant: Buffer): void {
  if (!written.equals(meant)) throw new Error('not the canonical form of the key');
}

function isLabel(label: string): boolean {
  try {
    requireLabel(label);
    return true;
  } catch {
    return false;
  }
}

function secretEntry(key: KeyObject): { id: string; key: string } {
  return { id: aesKeyId(key), key: key.export().toString('base64') };
}

function privateEntry(id: string, key: KeyObject): { id: string; privateKey: string } {
  return { id, privateKey: key.export({ format: 'der', type: 'pkcs8' }).toString('base64') };
}

function publicEntry(id: string, key: KeyObject): { id: string; publicKey: string } {
  return { id, publicKey: key.export({ format: 'der', type: 'spki' }).toString('base64') };
}

function malformed(from: string, what: string): GuardianError {
  return new GuardianError('keys.malformed', `${from} is not a key file we can read: ${what}`, {
    hint: 'It is damaged or incomplete: use your copy of it, or make a new one with `etcdguardian keys recover`.',
  });
}
