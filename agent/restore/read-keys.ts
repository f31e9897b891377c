import { Buffer } from 'node:buffer';
import type { ReadKeysReply, ReadKeysRequest } from '../../lib/agent-api/restore-messages.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { KEY_LIMITS, type KeyLimits } from '../../lib/restore/own/key-limits.ts';

/**
 * What etcd has of some keys and prefixes, all at one revision, which is the newest when it begins; in the order of keys,
 * each once. In pages, so that memory follows what is found. Rejects with `agent.request`, `agent.too-many-keys` (nothing
 * is answered in part), and the client's errors, `etcd.compacted` where it took longer than etcd keeps its history.
 */
export async function readKeys(
  client: Pick<EtcdClient, 'range'>,
  { keys, prefixes, keysOnly, serializable }: KeysAsked,
  signal: AbortSignal,
  limits: KeyLimits = KEY_LIMITS,
): Promise<ReadKeysReply> {
  const ranges = rangesOf(keys, prefixes, limits);
  const { header } = await client.range('\0', { rangeEnd: '\0', countOnly: true, serializable, signal });
  const { revision } = header;
  const items: ReadKeysReply['items'] = [];
  let bytes = 0;
  for (const { from, rangeEnd } of ranges) {
    for (let key: Buffer | undefined = from, limit = FIRST_PAGE; key !== undefined;) {
      const page = await client.range(key, { rangeEnd, limit, revision, keysOnly, serializable, signal });
      let size = 0;
      for (const { key: name, value } of page.kvs) {
        size += name.length + value.length;
        items.push({ key: Buffer.from(name), value: Buffer.from(value), whereAbsent: false });
      }
      bytes += size;
      if (
        items.length > limits.keys ||
        bytes > limits.bytes ||
        items.length + Number(page.count) > limits.keys + page.kvs.length
      )
        throw tooMany(from, limits);
      const last = page.kvs.at(-1);
      key = page.more && last !== undefined ? Buffer.concat([last.key, Buffer.of(0)]) : undefined;
      const average = Math.max(1, size / Math.max(1, page.kvs.length));
      limit = Math.max(1, Math.min(MOST_OF_A_PAGE, Math.floor(PAGE_BYTES / average)));
    }
  }
  return { revision, items };
}

type KeysAsked = Pick<ReadKeysRequest, 'keys' | 'prefixes'> & Partial<ReadKeysRequest>;

/** Values may have 1.5 MiB each. */
const FIRST_PAGE = 16;
const MOST_OF_A_PAGE = 1_000;
const PAGE_BYTES = 4 * 1024 * 1024;

interface KeyRange {
  readonly from: Buffer;
  /** Left out: this very key. */
  readonly rangeEnd?: Buffer;
}

/** Ranges that don't overlap, in order. */
function rangesOf(
  keys: readonly Uint8Array[],
  prefixes: readonly Uint8Array[],
  limits: KeyLimits,
): KeyRange[] {
  if (
    keys.length + prefixes.length > limits.keys ||
    [...keys, ...prefixes].some(({ length }) => length === 0)
  )
    throw new GuardianError('agent.request', 'keys to read that are empty, or too many to ask for', {
      hint: `Ask for up to ${limits.keys} keys and prefixes.`,
    });
  const sorted = [
    ...prefixes.map((prefix) => ({ from: Buffer.from(prefix), isPrefix: true })),
    ...keys.map((key) => ({ from: Buffer.from(key), isPrefix: false })),
  ].sort((a, b) => Buffer.compare(a.from, b.from) || Number(b.isPrefix) - Number(a.isPrefix));
  const ranges: KeyRange[] = [];
  let covered: Buffer | undefined;
  let before: Buffer | undefined;
  for (const { from, isPrefix } of sorted) {
    const isCovered = covered !== undefined && from.subarray(0, covered.length).equals(covered);
    if (isCovered || (before?.equals(from) === true && !isPrefix)) continue;
    before = from;
    if (isPrefix) covered = from;
    ranges.push(isPrefix ? { from, rangeEnd: behind(from) } : { from });
  }
  return ranges;
}

/** The first key behind all that begin so; one zero byte stands for the end of all keys. */
function behind(prefix: Buffer): Buffer {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at] ?? 0xff;
    if (byte !== 0xff) return Buffer.concat([prefix.subarray(0, at), Buffer.of(byte + 1)]);
  }
  return Buffer.of(0);
}

function tooMany(from: Buffer, { keys, bytes }: KeyLimits): GuardianError {
  return new GuardianError(
    'agent.too-many-keys',
    `etcd has more under the keys that were asked for than one reply holds (${keys} keys, ${bytes} bytes); it was passed at ${printable(from)}`,
    { hint: 'Ask for fewer, or remove objects there that nobody needs.' },
  );
}

function printable(key: Buffer): string {
  return key.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '?');
}
