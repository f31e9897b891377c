import type { EtcdClient, RangeResult } from '../../etcd/client/etcd-client.ts';
import { GuardianError, hasCode } from '../../guardian-error.ts';
import { parseKey } from '../../keyspace/parse-key.ts';
import { directoryOfKey } from '../../keyspace/resource-directory.ts';
import { secretType, SERVICE_ACCOUNT_TOKEN } from '../../keyspace/secret-type.ts';
import { valueEncoding } from '../../keyspace/value-encoding.ts';
import { MAX_KEY_BYTES, MAX_VALUE_BYTES, type PartRecord } from '../../repository/part-records.ts';

/** What may be read of one namespace, and nothing else. */
export interface NamespaceScope {
  readonly namespace: string;
  /** Behind the prefix: `configmaps`, `services/specs`, `example.com/widgets`. */
  readonly directories: readonly string[];
  /** Also the Namespace itself. */
  readonly namespaceObject: boolean;
}

export interface NamespaceReading {
  readonly scopes: readonly NamespaceScope[];
  readonly revision: bigint;
  /** What API servers put before their keys. */
  readonly prefix: string;
  readonly signal: AbortSignal;
  /** Told of a directory with a value that can't be read here; the rest of it is passed over. */
  readonly onUnreadable: (directory: string) => void;
}

/**
 * The objects of the scopes at one revision, as etcd has them, in pages that fit into memory whatever lies there.
 * Tokens of service accounts are left out. Rejects with `agent.request` for scopes that no namespace or directory has,
 * `tenant.compacted` where it took longer than etcd keeps its history, `tenant.too-large` for an object that no part
 * holds, and the client's errors.
 */
export async function* readNamespaces(
  client: EtcdClient,
  reading: NamespaceReading,
): AsyncGenerator<PartRecord, void> {
  const { scopes, prefix } = reading;
  for (const scope of scopes) checkScope(scope);
  const unreadable = new Set<string>();
  for (const { namespace, directories, namespaceObject } of scopes) {
    if (namespaceObject && !unreadable.has(NAMESPACES))
      yield* readRange(client, reading, unreadable, NAMESPACES, {
        key: `${prefix}/${NAMESPACES}/${namespace}`,
      });
    for (const directory of directories) {
      if (unreadable.has(directory)) continue;
      const start = `${prefix}/${directory}/${namespace}/`;
      // The byte behind the slash: everything in between begins with `start`.
      yield* readRange(client, reading, unreadable, directory, {
        key: start,
        rangeEnd: `${start.slice(0, -1)}0`,
        namespace,
      });
    }
  }
}

export const NAMESPACES = 'namespaces';

interface KeyRange {
  readonly key: string;
  readonly rangeEnd?: string;
  /** Undefined for the Namespace itself. */
  readonly namespace?: string;
}

async function* readRange(
  client: EtcdClient,
  reading: NamespaceReading,
  unreadable: Set<string>,
  directory: string,
  { key: first, rangeEnd, namespace }: KeyRange,
): AsyncGenerator<PartRecord, void> {
  const { prefix, onUnreadable } = reading;
  let next: string | Uint8Array = first;
  for (let limit = FIRST_PAGE; ;) {
    const page = await readPage(client, reading, next, rangeEnd, limit);
    let bytes = 0;
    for (const { key: keyBytes, value } of page.kvs) {
      bytes += value.length;
      const key = keyBytes.toString();
      const found = parseKey(key, prefix);
      const record = { key: key.slice(prefix.length + 1), value };
      // Nothing else lies in this range; what an etcd of someone else's making gives is not believed.
      if (found === undefined || found.namespace !== namespace) continue;
      if (directoryOfKey(record.key, found) !== directory) continue;
      const { kind } = valueEncoding(value);
      if (kind !== 'protobuf' && kind !== 'json') {
        unreadable.add(directory);
        onUnreadable(directory);
        return;
      }
      if (directory === 'secrets' && secretType(value) === SERVICE_ACCOUNT_TOKEN) continue;
      if (keyBytes.length > MAX_KEY_BYTES || value.length > MAX_VALUE_BYTES)
        throw tooLarge(key, value.length);
      yield record;
    }
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return;
    next = Buffer.concat([last.key, Buffer.alloc(1)]);
    limit = nextLimit(page.kvs.length, bytes);
  }
}

/** Objects have up to 1.5 MiB, most of them 2 KiB: a page is as large as the one before lets expect. */
const FIRST_PAGE = 16;
const MOST_A_PAGE = 500;
const PAGE_BYTES = 4 << 20;

function nextLimit(count: number, bytes: number): number {
  const fit = Math.floor(PAGE_BYTES / Math.max(bytes / count, 1));
  return Math.max(FIRST_PAGE, Math.min(MOST_A_PAGE, count * 4, fit));
}

async function readPage(
  client: EtcdClient,
  { revision, signal }: NamespaceReading,
  key: string | Uint8Array,
  rangeEnd: string | undefined,
  limit: number,
): Promise<RangeResult> {
  try {
    return await client.range(key, { rangeEnd, limit, revision, signal });
  } catch (error) {
    if (!hasCode(error, 'etcd.compacted')) throw error;
    throw new GuardianError(
      'tenant.compacted',
      `etcd has forgotten revision ${revision} before all of its objects were read`,
      {
        hint: 'API servers compact every five minutes: select fewer namespaces, or a store that takes them faster.',
        retryable: true,
        cause: error,
      },
    );
  }
}

function checkScope({ namespace, directories }: NamespaceScope): void {
  const wrong = !NAMESPACE.test(namespace) || directories.some((directory) => !DIRECTORY.test(directory));
  if (!wrong) return;
  throw new GuardianError(
    'agent.request',
    `${JSON.stringify(namespace.slice(0, 80))} is no scope of a backup`,
    {
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
    },
  );
}

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const DIRECTORY = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(\/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/;

function tooLarge(key: string, size: number): GuardianError {
  return new GuardianError(
    'tenant.too-large',
    `${JSON.stringify(key.slice(0, 200))} has ${size} bytes; a backup of namespaces takes up to ${MAX_VALUE_BYTES} each`,
    { hint: 'Back the whole cluster up, or make the object smaller.' },
  );
}
