import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { exactJson } from '../../keyspace/exact-json.ts';
import { DEFAULT_PREFIX } from '../../keyspace/parse-key.ts';
import { protobufFields } from '../../keyspace/protobuf-fields.ts';
import { PROTOBUF_MAGIC, valueEncoding } from '../../keyspace/value-encoding.ts';

/** What kubeadm gives a cluster that isn't told otherwise. */
const DEFAULT_RANGE = '10.96.0.0/12';

/**
 * The addresses of the cluster's Services, as `--service-cluster-ip-range` takes them. An API server is told by its
 * flags, and leaves in the data what it was told: ServiceCIDR `kubernetes` from 1.33 on, the allocator's record before.
 */
export async function serviceRange(client: EtcdClient, signal?: AbortSignal): Promise<string> {
  for (const { key, path } of PLACES) {
    const { kvs } = await client.range(`${DEFAULT_PREFIX}/${key}`, { signal });
    const value = kvs[0]?.value;
    const found = value === undefined ? [] : textsAt(value, path).filter((text) => CIDR.test(text));
    if (found.length > 0) return found.join(',');
  }
  return DEFAULT_RANGE;
}

/** Fields by number and by name: networking.k8s.io ServiceCIDR spec.cidrs, core RangeAllocation range. */
const PLACES = [
  {
    key: 'servicecidrs/kubernetes',
    path: [
      [2, 'spec'],
      [1, 'cidrs'],
    ],
  },
  { key: 'ranges/serviceips', path: [[2, 'range']] },
] as const;

const CIDR = /^[0-9a-f.:]+\/\d{1,3}$/i;

type Path = readonly (readonly [number: number, name: string])[];

function textsAt(value: Buffer, path: Path): string[] {
  try {
    const { kind } = valueEncoding(value);
    if (kind === 'json') return textsInJson(exactJson(value), path);
    if (kind !== 'protobuf') return [];
    // runtime.Unknown: the object is its field 2.
    return textsInProtobuf(value.subarray(PROTOBUF_MAGIC.length), [[2, ''], ...path]);
  } catch {
    return [];
  }
}

function textsInJson(json: unknown, path: Path): string[] {
  let at = json;
  for (const [, name] of path) {
    at = typeof at === 'object' && at !== null ? (at as Readonly<Record<string, unknown>>)[name] : undefined;
  }
  return (Array.isArray(at) ? at : [at]).filter((text) => typeof text === 'string');
}

function textsInProtobuf(message: Buffer, [first, ...rest]: Path): string[] {
  if (first === undefined) return [message.toString('utf8')];
  const found: string[] = [];
  for (const { number, value } of protobufFields(message)) {
    if (number === first[0] && typeof value !== 'bigint') found.push(...textsInProtobuf(value, rest));
  }
  return found;
}
