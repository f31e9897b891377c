/** How kube-apiserver wrote a value; see `valueEncoding`. */
export type ValueEncoding =
  | { readonly kind: 'protobuf' | 'json' | 'cbor' | 'unknown' }
  | { readonly kind: 'encrypted'; readonly encryption: EncryptionAtRest };

/** What it takes to read an encrypted value: an entry of the API server's EncryptionConfiguration. */
export interface EncryptionAtRest {
  readonly scheme: 'aescbc' | 'aesgcm' | 'secretbox' | 'kms-v1' | 'kms-v2';
  /** Name of the key, or of the KMS provider. */
  readonly keyName: string;
  /** True when the value is bound to its key in etcd, so that it can't be moved to another name or namespace. */
  readonly boundToKey: boolean;
}

/**
 * What a value is, judged by its first bytes as kube-apiserver does. `unknown` for what kube-apiserver did not write,
 * and for encryption schemes of later versions.
 */
export function valueEncoding(value: Buffer): ValueEncoding {
  if (startsWith(value, PROTOBUF_MAGIC)) return { kind: 'protobuf' };
  if (startsWith(value, ENCRYPTED_MAGIC)) {
    const encryption = encryptionAtRest(value);
    return encryption === undefined ? { kind: 'unknown' } : { kind: 'encrypted', encryption };
  }
  if (value[0] === 0x7b) return { kind: 'json' };
  if (startsWith(value, CBOR_MAGIC)) return { kind: 'cbor' };
  return { kind: 'unknown' };
}

export const PROTOBUF_MAGIC = Buffer.from('k8s\0');
const ENCRYPTED_MAGIC = Buffer.from('k8s:enc:');
/** The tag that says of itself that it is CBOR (RFC 8949, 3.4.6). */
const CBOR_MAGIC = Buffer.from([0xd9, 0xd9, 0xf7]);

/** Names are DNS-like in practice; longer ones are noise that happens to begin like a prefix. */
const MAX_PREFIX_BYTES = 512;

const SCHEMES: readonly (readonly [string, Omit<EncryptionAtRest, 'keyName'>])[] = [
  ['aescbc:v1', { scheme: 'aescbc', boundToKey: false }],
  ['aesgcm:v1', { scheme: 'aesgcm', boundToKey: true }],
  ['secretbox:v1', { scheme: 'secretbox', boundToKey: false }],
  ['kms:v1', { scheme: 'kms-v1', boundToKey: false }],
  ['kms:v2', { scheme: 'kms-v2', boundToKey: true }],
];

/** `k8s:enc:<scheme>:<version>:<key name>:` and then the payload. */
function encryptionAtRest(value: Buffer): EncryptionAtRest | undefined {
  const head = value.toString('latin1', ENCRYPTED_MAGIC.length, MAX_PREFIX_BYTES);
  for (const [prefix, scheme] of SCHEMES) {
    if (!head.startsWith(`${prefix}:`)) continue;
    const name = head.slice(prefix.length + 1);
    const end = name.indexOf(':');
    if (end > 0) return { ...scheme, keyName: name.slice(0, end).replaceAll(/[^\x20-\x7e]/g, '?') };
  }
  return undefined;
}

function startsWith(value: Buffer, magic: Buffer): boolean {
  return value.length >= magic.length && magic.equals(value.subarray(0, magic.length));
}
