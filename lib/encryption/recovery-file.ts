import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { encryptedPem } from './encrypted-pem.ts';
import { type RecoveryKeys, requireLabel } from './keys.ts';
import { recoveryKeyId } from './recovery-key.ts';
import { signingKeyId } from './signing-key.ts';

/**
 * The text of a recovery file: an explanation for whoever finds it, then PEM blocks (RFC 7468) that `openssl pkey`
 * reads too: the private recovery key, encrypted if there is a passphrase, and the public keys of trusted signers.
 */
export function formatRecoveryFile(recovery: RecoveryKeys, passphrase: string | undefined): string {
  const { label, createdAt, recoveryKey, trustedSigners } = recovery;
  const privateKey =
    passphrase === undefined
      ? recoveryKey.export({ format: 'pem', type: 'pkcs8' })
      : encryptedPem(recoveryKey, passphrase);
  const signers = trustedSigners.map((key) => key.export({ format: 'pem', type: 'spki' }));
  return `${EXPLANATION}
Label: ${label}
Created: ${createdAt.toISOString()}
Recovery key: ${recoveryKeyId(recoveryKey)}${passphrase === undefined ? '' : ', encrypted with a passphrase'}
Trusts signatures by: ${trustedSigners.map(signingKeyId).join(', ')}

${[privateKey, ...signers].join('')}`;
}

/**
 * Rejects with `keys.malformed`; `keys.passphrase` where a passphrase is missing or wrong. Only the PEM blocks
 * matter: a file that was typed in from paper may lack the rest, label, time and signers included.
 */
export function parseRecoveryFile(text: string, from: string, passphrase: string | undefined): RecoveryKeys {
  const blocks = pemBlocks(text);
  const privateKeys = blocks.filter(({ label }) => PRIVATE_LABELS.includes(label));
  const [block] = privateKeys;
  if (block === undefined || privateKeys.length > 1) {
    throw malformed(from, `it has ${privateKeys.length} private keys instead of one`);
  }
  const recoveryKey =
    block.label === 'ENCRYPTED PRIVATE KEY'
      ? decrypt(block.text, from, passphrase)
      : readKey(from, () => createPrivateKey(block.text));
  recoveryKeyId(recoveryKey);
  const createdAt = new Date(/^Created: (\S+)$/m.exec(text)?.[1] ?? Number.NaN);
  return {
    label: labelIn(text),
    createdAt: Number.isNaN(createdAt.getTime()) ? new Date(0) : createdAt,
    recoveryKey,
    trustedSigners: publicSigners(text, from),
  };
}

/** The Ed25519 public keys among the PEM blocks of a recovery file, or of a file of public keys only. */
export function publicSigners(text: string, from: string): KeyObject[] {
  return pemBlocks(text)
    .filter(({ label }) => label === 'PUBLIC KEY')
    .map((block) => {
      const key = readKey(from, () => createPublicKey(block.text));
      signingKeyId(key);
      return key;
    });
}

/** Whether the text holds a private key in PEM. */
export function holdsPrivateKey(text: string): boolean {
  return pemBlocks(text).some(({ label }) => PRIVATE_LABELS.includes(label));
}

const EXPLANATION = `EtcdGuardian recovery file

Keep this file offline: on paper, or on a stick in a safe. Not in the cluster, not in
the bucket, not beside the key file. Whoever has it can read every backup made for it.

When the cluster and the key file are gone, this file and the bucket are enough.
To restore a backup:
  etcdguardian restore --key-file THIS-FILE --store ...
To make a key file that reads all backups and goes on writing new ones:
  etcdguardian keys recover --recovery-key THIS-FILE --out NEW-KEY-FILE --recovery-out NEW-RECOVERY-FILE
`;

const PRIVATE_LABELS: readonly string[] = ['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'RSA PRIVATE KEY'];

function pemBlocks(text: string): { label: string; text: string }[] {
  const blocks = text.matchAll(/^-----BEGIN ([A-Z ]+)-----\r?\n[A-Za-z0-9+/=\s]+?^-----END \1-----\s*$/gm);
  return Array.from(blocks, ([block, label = '']) => ({ label, text: block }));
}

function decrypt(pem: string, from: string, passphrase: string | undefined): KeyObject {
  if (passphrase === undefined) {
    throw new GuardianError('keys.passphrase', `${from} is encrypted with a passphrase, and none was given`, {
      hint: 'Give it in a file: --recovery-passphrase-file, or --key-passphrase-file where the recovery file is the key file.',
    });
  }
  try {
    return createPrivateKey({ key: pem, passphrase });
  } catch (error) {
    throw new GuardianError('keys.passphrase', `the passphrase does not open ${from}`, {
      hint: 'Check the passphrase; a line end after it is not part of it. If it is right, the file is damaged: use your second copy.',
      cause: error,
    });
  }
}

function readKey(from: string, read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch (error) {
    throw malformed(from, 'a key in it is damaged', error);
  }
}

function labelIn(text: string): string {
  const label = /^Label: (.*)$/m.exec(text)?.[1]?.trim() ?? 'recovered';
  requireLabel(label);
  return label;
}

function malformed(from: string, what: string, cause?: unknown): GuardianError {
  return new GuardianError('keys.malformed', `${from} is not a recovery file we can read: ${what}`, {
    hint: 'Use your second copy of it; each line between BEGIN and END must be complete.',
    cause,
  });
}
