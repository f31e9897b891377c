import { Buffer } from 'node:buffer';
import type { Sent } from '../../agent-api/fields.ts';
import type { ReadKeysReply, ReadKeysRequest } from '../../agent-api/restore-messages.ts';
import { readStoredObject } from '../../keyspace/object-meta.ts';
import { serviceAddresses } from '../../keyspace/service-addresses.ts';
import type { StageOrder } from '../cluster/participant.ts';
import { addressKeys, ownKeys, type OwnPlace } from './own-keys.ts';

/** Of a `StageOrder`: holds our Secrets, so it goes to agents and nowhere else. */
export type OwnObjects = Required<Pick<StageOrder, 'grafts' | 'graftPrefixes'>>;

/** What can be asked for keys: an agent, or a file. */
export interface KeyReader {
  readKeys(
    request: Sent<ReadKeysRequest>,
    options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
  ): Promise<ReadKeysReply>;
}

/** EtcdGuardian as it is, as etcd stores it. Rejects with the reader's error. */
export async function readOwnObjects(
  place: OwnPlace,
  reader: KeyReader,
  signal: AbortSignal,
): Promise<OwnObjects> {
  const { prefixes, keys, whereAbsent, ifLabelled } = ownKeys(place);
  const graftPrefixes = prefixes.map(bytesOf);
  const found = await reader.readKeys(
    { keys: [...keys, ...whereAbsent, ...ifLabelled].map(bytesOf), prefixes: graftPrefixes },
    { signal, timeoutMs: READ_MS },
  );
  const absent = new Set(whereAbsent);
  const labelled = new Set(ifLabelled);
  const items = found.items.flatMap(({ key, value }) => {
    const name = Buffer.from(key).toString();
    if (labelled.has(name) && !isOurs(Buffer.from(value))) return [];
    return [{ key, value, whereAbsent: absent.has(name) }];
  });

  // The API server gives the addresses of Services to others, unless it finds them taken.
  const services = `${place.prefix}/services/specs/${place.namespace}/`;
  const addresses = items.flatMap(({ key, value }) =>
    Buffer.from(key).toString().startsWith(services) ? serviceAddresses(Buffer.from(value)) : [],
  );
  const taken = await reader.readKeys(
    { keys: addressKeys(place.prefix, addresses).map(bytesOf) },
    { signal, timeoutMs: READ_MS },
  );
  return { grafts: [...items, ...taken.items], graftPrefixes };
}

const READ_MS = 60_000;

function bytesOf(text: string): Buffer<ArrayBuffer> {
  return Buffer.from(text);
}

function isOurs(value: Buffer): boolean {
  const found = readStoredObject(value);
  return found.kind === 'object' && found.meta.labels.get('app.kubernetes.io/name') === 'etcdguardian';
}
