import { open } from 'node:fs/promises';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { aesKeyOf } from './aes-key.ts';
import { parseKeyFile } from './key-file.ts';
import type { Keys, RecoveryKeys } from './keys.ts';
import {
  type KeySet,
  keySetOfAesKey,
  keySetOfKeyFile,
  keySetOfPublicKeys,
  keySetOfRecoveryFile,
} from './key-set.ts';
import { holdsPrivateKey, parseRecoveryFile, publicSigners } from './recovery-file.ts';

/** Where keys come from. `from` names the source in errors, e.g. `Secret prod/backup-key`. */
export type KeySource = { readonly file: string } | { readonly content: Uint8Array; readonly from: string };

export interface LoadKeysOptions {
  /** Of a recovery file. */
  readonly passphrase?: string | undefined;
  /**
   * `refuse` (the default) a key file that its group or others may read. `ignore` it where the folder decides who may
   * read, as with a mounted Secret.
   */
  readonly permissions?: 'refuse' | 'ignore';
}

/**
 * Reads keys of any kind. Rejects with `keys.unreadable`, `keys.permissions`, `keys.passphrase`, `keys.format` or
 * `keys.malformed`.
 */
export async function loadKeys(source: KeySource, options: LoadKeysOptions = {}): Promise<KeySet> {
  if ('content' in source) return parseKeys(source.content, source.from, options.passphrase);
  const { content, mode } = await readSmallFile(source.file);
  const keys = parseKeys(content, source.file, options.passphrase);
  if (options.permissions === 'ignore' || isPrivate(mode)) return keys;
  switch (keys.description.source) {
    case 'public-keys':
      return keys;
    case 'recovery-file':
      // Read in an emergency, maybe from a stick whose file system knows no modes: never in the way.
      return withWarning(keys, `${source.file} can be read by others on this machine.`);
    default:
      throw tooOpen(source.file, mode);
  }
}

/** What a key file holds, to make another one of it. */
export async function loadKeyFile(file: string): Promise<Keys> {
  const { content, mode } = await readSmallFile(file);
  const keys = parseKeyFile(content.toString('utf8'), file);
  if (!isPrivate(mode)) throw tooOpen(file, mode);
  return keys;
}

/** What a recovery file holds, to make a key file of it. */
export async function loadRecoveryFile(file: string, passphrase: string | undefined): Promise<RecoveryKeys> {
  const { content } = await readSmallFile(file);
  return parseRecoveryFile(content.toString('utf8'), file, passphrase);
}

/**
 * The keys that some content holds: a key file (JSON), a recovery file (PEM with a private key), public signing keys
 * (PEM without), or one bare AES-256 key: exactly 32 bytes as they are, or 32 bytes in base64 or hexadecimal with
 * white space around.
 */
export function parseKeys(content: Uint8Array, from: string, passphrase?: string): KeySet {
  const bare = bareAesKey(content);
  if (bare !== undefined) {
    return keySetOfAesKey(aesKeyOf(bare), isPrintable(bare) ? [TYPED_KEY] : []);
  }
  const text = Buffer.from(content).toString('utf8').trim();
  if (text.startsWith('{')) return keySetOfKeyFile(parseKeyFile(text, from));
  if (holdsPrivateKey(text)) return keySetOfRecoveryFile(parseRecoveryFile(text, from, passphrase));
  const signers = publicSigners(text, from);
  if (signers.length > 0) return keySetOfPublicKeys(signers);
  throw new GuardianError('keys.malformed', `${from} holds no keys we can read`, {
    hint: 'Give a key file made by `etcdguardian keys create`, a recovery file, or a bare key as `openssl rand -base64 32` makes it.',
  });
}

const MAX_KEY_FILE_BYTES = 1024 * 1024;

const TYPED_KEY =
  'This key consists of printable characters, so it is easier to guess than 32 random bytes. `openssl rand -base64 32` makes a better one.';

async function readSmallFile(path: string): Promise<{ content: Buffer; mode: number }> {
  try {
    await using handle = await open(path, 'r');
    const { mode, size } = await handle.stat();
    if (size > MAX_KEY_FILE_BYTES) throw new Error(`it has ${size} bytes, too many for a file of keys`);
    return { content: await handle.readFile(), mode };
  } catch (error) {
    throw new GuardianError('keys.unreadable', `can't read keys from ${path}: ${reasonOf(error)}`, {
      hint: 'Check the path, and that this user may read it.',
      cause: error,
    });
  }
}

function isPrivate(mode: number): boolean {
  return (mode & 0o077) === 0;
}

function tooOpen(path: string, mode: number): GuardianError {
  return new GuardianError(
    'keys.permissions',
    `${path} holds secret keys, and its mode ${(mode & 0o777).toString(8)} lets others at it`,
    { hint: `Run \`chmod 600 ${path}\`.` },
  );
}

function withWarning(keys: KeySet, warning: string): KeySet {
  const { description } = keys;
  return { ...keys, description: { ...description, warnings: [...description.warnings, warning] } };
}

function bareAesKey(content: Uint8Array): Uint8Array | undefined {
  if (content.length === 32) return content;
  const text = Buffer.from(content).toString('latin1').trim();
  if (text.length === 32 && isPrintable(Buffer.from(text, 'latin1'))) return Buffer.from(text, 'latin1');
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64');
  return undefined;
}

function isPrintable(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
}
