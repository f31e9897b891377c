import type { KeyMaterial } from '../../lib/backup/task/task-keys.ts';
import type { TlsSettings } from '../../lib/etcd/client/etcd-settings.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type {
  Encryption,
  EtcdCertificates,
  StorageLocation,
} from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { pause } from '../../lib/kubernetes/pause.ts';
import type { StoreSecret } from '../../lib/storage/store-access.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { encryptionKeyOf } from './encryption-key.ts';
import { type SecretReader, secretReader, type SecretsOf } from './secret-reader.ts';

/** Of a spec, what names Secrets; they are of the resource's own namespace. */
export interface SecretNames {
  readonly storageLocation: StorageLocation;
  readonly encryption?: Encryption | undefined;
  readonly etcdCertificates?: EtcdCertificates | undefined;
}

/** What a run needs to open etcd and store, in memory only. */
export interface RunSecrets {
  readonly store: StoreSecret;
  readonly keys: KeyMaterial;
  /** For `etcdEndpoints`; undefined where no certificates are named. */
  readonly etcdTls: TlsSettings | undefined;
}

/**
 * Reads the Secrets that a spec names, anew with each call, as the requester. Rejects with
 * `controlplane.secret-missing`, `controlplane.secret-denied`, `controlplane.secret-malformed`,
 * `controlplane.no-requester`, `controlplane.unsupported` (key services), those of `signingKeyFile`, and the client's for
 * an API server that is away. No error repeats what a Secret holds.
 */
export async function readRunSecrets(
  names: SecretNames,
  whose: SecretsOf,
  tools: Pick<ControlPlaneTools, 'kube' | 'namespace' | 'signingKeyFile'>,
  signal: AbortSignal,
): Promise<RunSecrets> {
  const reader = secretReader(tools, whose);
  const store = await storeSecret(names.storageLocation, reader, signal);
  const keys = await keyMaterial(names.encryption, reader, tools, signal);
  const etcdTls = await etcdCertificates(names.etcdCertificates, reader, signal);
  return { store, keys, etcdTls };
}

/** In the Secret of a store beside its keys: who vouches for the server's certificate. */
const STORE_CA = 'ca.crt';

async function storeSecret(
  { credentialsSecret }: StorageLocation,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<StoreSecret> {
  if (credentialsSecret === undefined || credentialsSecret === '') return { values: {}, from: '' };
  const field = 'storageLocation.credentialsSecret';
  const secret = await reader.read(credentialsSecret, field, signal);
  const texts = Object.fromEntries(
    [...secret.entries].map(([name, bytes]) => [name, bytes.toString('utf8')]),
  );
  const { [STORE_CA]: ca, ...values } = texts;
  // Without keys the operator's own identity would be taken, which nobody asked for.
  if (Object.values(values).every((value) => value.trim() === ''))
    throw secret.malformed(
      'has no keys for the store',
      'For S3 it needs access-key-id and secret-access-key.',
    );
  return { values, from: secret.from, ca };
}

async function keyMaterial(
  encryption: Encryption | undefined,
  reader: SecretReader,
  tools: Pick<ControlPlaneTools, 'signingKeyFile'>,
  signal: AbortSignal,
): Promise<KeyMaterial> {
  const signing = await signingKey(tools, signal);
  if (encryption?.enabled !== true) return { encryption: new Uint8Array(), encryptionFrom: '', signing };
  const { encryptionSecret, kmsKeyID } = encryption;
  if (encryptionSecret === undefined || encryptionSecret === '') {
    throw new GuardianError(
      'controlplane.unsupported',
      kmsKeyID === undefined
        ? 'encryption is enabled, and no key is named'
        : `key services are not supported by this version, and encryption.kmsKeyID names ${JSON.stringify(kmsKeyID)}`,
      {
        hint: 'Name a Secret with a key in encryption.encryptionSecret; `openssl rand -base64 32` makes one.',
      },
    );
  }
  const secret = await reader.read(encryptionSecret, 'encryption.encryptionSecret', signal);
  return { ...encryptionKeyOf(secret), signing };
}

/** A leader that has just begun makes or reads it in its first seconds: nothing to give up for. */
async function signingKey(
  tools: Pick<ControlPlaneTools, 'signingKeyFile'>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  for (let tries = SIGNING_TRIES; ; tries -= 1) {
    try {
      return await tools.signingKeyFile();
    } catch (error) {
      if (tries === 0 || !(error instanceof GuardianError) || !error.retryable) throw error;
      await pause(SIGNING_PAUSE_MS, signal);
    }
  }
}

const SIGNING_TRIES = 100;
const SIGNING_PAUSE_MS = 200;

async function etcdCertificates(
  certificates: EtcdCertificates | undefined,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<TlsSettings | undefined> {
  if (certificates === undefined) return undefined;
  const pem = async (field: keyof EtcdCertificates, key: string): Promise<string | undefined> => {
    const reference = certificates[field];
    if (reference === undefined) return undefined;
    return reader.pem(reference, key, `etcdCertificates.${field}`, signal);
  };
  return {
    ca: await pem('ca', 'ca.crt'),
    cert: await pem('cert', 'tls.crt'),
    key: await pem('key', 'tls.key'),
  };
}
