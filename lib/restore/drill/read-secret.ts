import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import { DEFAULT_PREFIX, parseKey } from '../../keyspace/parse-key.ts';
import { valueEncoding } from '../../keyspace/value-encoding.ts';
import { endOf } from './count-resources.ts';
import type { ApiAnswer, DrillApiClient } from './drill-api-client.ts';

/** A Secret that is there, and how it is stored. */
export interface StoredSecret {
  readonly namespace: string;
  readonly name: string;
  /** What an EncryptionConfiguration must have to read it: `aescbc key "key1"`; undefined: it is stored in plain. */
  readonly key: string | undefined;
}

/** One Secret, an encrypted one if there is any among the first hundred; undefined where there is none. */
export async function findSecret(
  client: EtcdClient,
  signal?: AbortSignal,
): Promise<StoredSecret | undefined> {
  const prefix = Buffer.from(`${DEFAULT_PREFIX}/secrets/`);
  const { kvs } = await client.range(prefix, { rangeEnd: endOf(prefix), limit: 100, signal });
  const secrets = kvs.flatMap(({ key, value }) => {
    const object = parseKey(key.toString());
    if (object?.namespace === undefined) return [];
    return [{ namespace: object.namespace, name: object.name, key: keyOf(value) }];
  });
  return secrets.find(({ key }) => key !== undefined) ?? secrets[0];
}

function keyOf(value: Buffer): string | undefined {
  const encoding = valueEncoding(value);
  if (encoding.kind === 'encrypted')
    return `${encoding.encryption.scheme} key "${encoding.encryption.keyName}"`;
  return encoding.kind === 'unknown' ? 'a provider that is not known here' : undefined;
}

/**
 * Why the API server doesn't read the Secret, as far as it can tell yet; undefined: it reads it. Rejects with
 * `restore.encryption-key` when its EncryptionConfiguration lacks what this Secret was written with.
 */
export async function readSecret(
  api: DrillApiClient,
  { namespace, name, key }: StoredSecret,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const answer = await api.get(`/api/v1/namespaces/${namespace}/secrets/${name}`, { signal });
  if (answer.status === 200) return undefined;
  const said = `${answer.status} ${answer.message}`;
  if (!TRANSFORM.test(answer.message) && !(key !== undefined && isNonsense(answer))) return said;
  throw new GuardianError(
    'restore.encryption-key',
    `the API server can't read Secret ${namespace}/${name}, which was written ${key === undefined ? 'without encryption' : `with ${key}`}: ${answer.message}`,
    {
      hint:
        key === undefined
          ? 'the EncryptionConfiguration must also have the provider "identity: {}", for what was written before encryption was turned on'
          : `the EncryptionConfiguration (--encryption-config) must have ${key} with the very secret of that time: find it, or nobody will read these Secrets after a restore`,
    },
  );
}

/** What kube-apiserver says of values that its providers can't turn into objects. */
const TRANSFORM =
  /unable to transform key|no matching prefix found|no matching key|decrypt|invalid padding|message authentication failed|stored data was not of the required size|kms/i;

/**
 * AES-CBC has nothing but its padding to tell a wrong key by, and with one wrong key in 256 the padding fits: then the API
 * server fails on bytes that mean nothing, in as many words as it has decoders ("illegal base64 data", "couldn't get
 * version/kind", "proto: illegal wireType"). What else it answers 500 to is about etcd or its own start.
 */
function isNonsense({ status, message }: ApiAnswer): boolean {
  return (
    status === 500 && !/etcd|time(?:d )?out|deadline|unavailable|connection|initializ|leader/i.test(message)
  );
}
