import { z } from 'zod';
import { protobufFields } from './protobuf-fields.ts';
import { PROTOBUF_MAGIC } from './value-encoding.ts';

/**
 * The cluster IPs of a Service as it lies in etcd, as its IPAddress objects are named; none where it can't be read, e.g.
 * because it is encrypted, and none for a headless one.
 */
export function serviceAddresses(value: Buffer): string[] {
  try {
    const found = value[0] === 0x7b ? fromJson(value) : fromProtobuf(value);
    return [...new Set(found)].filter((address) => /^[0-9a-f.:]+$/.test(address));
  } catch {
    return [];
  }
}

const json = z.object({
  spec: z.object({ clusterIP: z.string().optional(), clusterIPs: z.array(z.string()).optional() }),
});

function fromJson(value: Buffer): string[] {
  const { clusterIP = '', clusterIPs = [] } = json.parse(JSON.parse(value.toString())).spec;
  return [clusterIP, ...clusterIPs];
}

/** runtime.Unknown: raw = 2; core/v1 Service: spec = 2; ServiceSpec: clusterIP = 3, clusterIPs = 18. */
function fromProtobuf(value: Buffer): string[] {
  if (!value.subarray(0, PROTOBUF_MAGIC.length).equals(PROTOBUF_MAGIC)) return [];
  const raw = messages(value.subarray(PROTOBUF_MAGIC.length), [2]);
  const spec = raw.flatMap((object) => messages(object, [2]));
  return spec.flatMap((fields) => messages(fields, [3, 18])).map((address) => address.toString());
}

function messages(message: Buffer, wanted: readonly number[]): Buffer[] {
  return [...protobufFields(message)].flatMap(({ number, value }) =>
    wanted.includes(number) && typeof value !== 'bigint' ? [value] : [],
  );
}
