import type { Clock } from '../../lib/clock.ts';
import { formatKeyFile, parseKeyFile } from '../../lib/encryption/key-file.ts';
import { keySetOfKeyFile } from '../../lib/encryption/key-set.ts';
import { createKeys, type Keys } from '../../lib/encryption/keys.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import { base64, fromBase64, OUR_LABELS, type Secret, SECRETS } from '../core-resources.ts';

/** The keys that sign where no encryption is asked for. */
export interface SigningKeys {
  /** As a key file, with its private part. */
  readonly keyFile: Uint8Array;
  /** The public keys in PEM, as `--key-file` takes them to check who made a backup. */
  readonly publicPem: string;
}

export interface SigningKeyTools {
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly reference: Pick<KubeReference, 'namespace' | 'name'>;
}

/**
 * Reads the Secret with the signing keys. Undefined where there is none; rejects with `controlplane.signing-key` for one
 * that can't be used.
 */
export async function readSigningKeys(
  { kube, reference }: Pick<SigningKeyTools, 'kube' | 'reference'>,
  signal?: AbortSignal,
): Promise<SigningKeys | undefined> {
  let secret: Secret;
  try {
    secret = await kube.get<Secret>({ resource: SECRETS, ...reference }, { signal });
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return undefined;
    throw error;
  }
  const source = `Secret ${reference.namespace ?? ''}/${reference.name}`;
  try {
    const text = secret.data?.key;
    if (text === undefined) throw new Error(`${source} has no entry "key"`);
    return signingKeysOf(parseKeyFile(fromBase64(text), source));
  } catch (error) {
    throw new GuardianError('controlplane.signing-key', reasonOf(error), {
      hint: `Put ${source} back from a backup of it: what was signed with it can't be checked by another key.`,
      cause: error,
    });
  }
}

/**
 * Like `readSigningKeys`, but makes them at the first start, and writes `known` back where the Secret was deleted.
 * `publishedPem`: what is told to everyone as the signer; where something is, and the keys are gone, rejects with
 * `controlplane.signing-key`: a new signer is never made behind the back of those who trust the old one.
 */
export async function openSigningKeys(
  { kube, clock, reference }: SigningKeyTools,
  known: SigningKeys | undefined,
  publishedPem: string | undefined,
  signal?: AbortSignal,
): Promise<SigningKeys & { readonly made?: 'created' | 'put-back' }> {
  const there = await readSigningKeys({ kube, reference }, signal);
  if (there !== undefined) return there;
  const isPublished = (publishedPem ?? '').trim() !== '';
  if (isPublished && known === undefined) {
    throw new GuardianError(
      'controlplane.signing-key',
      `Secret ${reference.namespace ?? ''}/${reference.name} with the key that signs backups is gone`,
      {
        hint: 'Put it back from a backup of it. Or start anew, deliberately: delete entry signer.pem of the trust ConfigMap; a new key is made then, and older backups need the old public key to be checked.',
      },
    );
  }
  const keys = isPublished && known !== undefined ? known : await newSigningKeys(clock());
  const object = {
    metadata: { name: reference.name, labels: OUR_LABELS },
    type: 'Opaque',
    data: { key: base64(Buffer.from(keys.keyFile).toString('utf8')) },
  };
  try {
    await kube.create(
      SECRETS,
      reference.namespace,
      { apiVersion: 'v1', kind: 'Secret', ...object },
      { signal },
    );
    return { ...keys, made: isPublished ? 'put-back' : 'created' };
  } catch (error) {
    const winner = hasCode(error, 'kubernetes.exists')
      ? await readSigningKeys({ kube, reference }, signal)
      : undefined;
    if (winner !== undefined) return winner;
    throw error;
  }
}

/** Nothing is ever sealed with these keys, so that nobody needs the recovery half. */
async function newSigningKeys(now: Date): Promise<SigningKeys> {
  const { keys } = await createKeys('etcdguardian-signing', now);
  return signingKeysOf(keys);
}

function signingKeysOf(keys: Keys): SigningKeys {
  const { description } = keySetOfKeyFile(keys);
  return {
    keyFile: Buffer.from(formatKeyFile(keys)),
    publicPem: description.keys.map(({ publicKey }) => publicKey ?? '').join(''),
  };
}
