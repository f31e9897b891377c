import { Buffer } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import type { Sent } from '../lib/agent-api/fields.ts';
import type { Keys, Store } from '../lib/agent-api/request-parts.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import type { PointFacts } from '../lib/restore/cluster/cluster-plan.ts';
import type { SoundBackup } from '../lib/repository/repository.ts';
import type { StoreSettings } from '../lib/storage/store-url.ts';
import type { RepositoryOptions } from './repository-options.ts';
import type { RestoreInput } from './restore-input.ts';
import { passphraseIn } from './passphrase-file.ts';
import type { Session } from './session.ts';
import type { Terminal } from './terminal.ts';

/** The point that options name, as a plan of a cluster's restore wants it. */
export function pointFacts({ source, point, versions, recording }: RestoreInput): PointFacts & {
  readonly backup: SoundBackup;
} {
  if (recording === undefined) throw new Error('a restore of a cluster is always recorded');
  const { backup, revision } = recording;
  return {
    backup,
    ...{ cluster: backup.cluster, timeline: backup.timeline, chain: backup.id, versions },
    revision: point.currentRevision,
    time: revision === undefined ? backup.manifest.completedAt : undefined,
    bytes: source.size,
    label: source.label,
    highWater: point.highWater,
  };
}

/** The store as agents take it: with the credentials of this environment, or else each agent by its own identity. */
export async function storeForAgents(settings: StoreSettings, { env }: Terminal): Promise<Sent<Store>> {
  if (settings.kind === 'local') return { provider: 'Local', bucket: settings.folder };
  const { bucket, prefix, region = '', endpoint = '', ca } = settings;
  return {
    ...{ provider: 'S3', bucket, prefix, region, endpoint },
    credentials: credentialsIn(env),
    ca: ca === undefined ? '' : 'pem' in ca ? ca.pem : await readFile(ca.file, 'utf8'),
  };
}

function credentialsIn(env: Terminal['env']): Record<string, string> {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
  if (id === undefined || id === '' || secret === undefined || secret === '') return {};
  return {
    ...{ 'access-key-id': id, 'secret-access-key': secret },
    ...(token === undefined || token === '' ? {} : { 'session-token': token }),
  };
}

/**
 * The keys as agents take them. Of a recovery file, opened here, a key file is made that is nowhere but in memory and in
 * that of the agents, which read with it and write nothing. Rejects with the errors of `loadKeys`, and `keys.read-only`.
 */
export async function keysForAgents(
  options: RepositoryOptions,
  { terminal: { env }, clock }: Session,
): Promise<Sent<Keys>> {
  const file = options.keyFile ?? env.ETCDGUARDIAN_KEY_FILE;
  if (file === undefined || file === '') return {};
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    throw new GuardianError('keys.unreadable', `${file} can't be read`, { cause: error });
  }
  const { holdsPrivateKey, parseRecoveryFile } = await import('../lib/encryption/recovery-file.ts');
  const text = content.toString('utf8');
  if (!holdsPrivateKey(text))
    return { encryption: new Uint8Array(content), encryptionFrom: `key file ${file}` };
  const recovery = parseRecoveryFile(text, file, passphraseIn(options.keyPassphraseFile));
  if (recovery.trustedSigners.length === 0) throw withoutSigners(file);
  const { recoverKeys } = await import('../lib/encryption/keys.ts');
  const { formatKeyFile } = await import('../lib/encryption/key-file.ts');
  const { keys } = recoverKeys(recovery, clock());
  return { encryption: Buffer.from(formatKeyFile(keys)), encryptionFrom: `recovery file ${file}` };
}

function withoutSigners(file: string): GuardianError {
  return new GuardianError(
    'keys.read-only',
    `${file} names no trusted signer, so agents could not tell who wrote the backup`,
    {
      hint: 'Give the recovery file as "keys create" wrote it, with its PUBLIC KEY blocks; or "etcdguardian restore node" on each node, which asks nobody.',
    },
  );
}
