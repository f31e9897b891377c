import { PROTOBUF_MAGIC } from './value-encoding.ts';
import { protobufFields } from './protobuf-fields.ts';

/** Signed for one account of one cluster: worth nothing anywhere else, and a danger where they lie. */
export const SERVICE_ACCOUNT_TOKEN = 'kubernetes.io/service-account-token';

/** The type of a Secret as it lies in etcd; undefined where it can't be read. */
export function secretType(value: Buffer): string | undefined {
  try {
    if (value[0] === 0x7b) return typeInJson(value);
    if (!value.subarray(0, PROTOBUF_MAGIC.length).equals(PROTOBUF_MAGIC)) return undefined;
    // runtime.Unknown: raw = 2; core/v1 Secret: type = 3.
    const raw = lastField(value.subarray(PROTOBUF_MAGIC.length), 2);
    return raw && lastField(raw, 3)?.toString();
  } catch {
    return undefined;
  }
}

function typeInJson(value: Buffer): string | undefined {
  const { type } = JSON.parse(value.toString()) as { readonly type?: unknown };
  return typeof type === 'string' ? type : undefined;
}

function lastField(message: Buffer, wanted: number): Buffer | undefined {
  let found: Buffer | undefined;
  for (const { number, value } of protobufFields(message))
    if (number === wanted && typeof value !== 'bigint') found = value;
  return found;
}
