import { Buffer } from 'node:buffer';
import type { ReadKeysReply } from '../../agent-api/restore-messages.ts';
import { openBoltFile } from '../../etcd/bolt/reader.ts';
import { RecordCursor } from '../../etcd/mvcc/record-cursor.ts';
import { GuardianError } from '../../guardian-error.ts';
import { KEY_LIMITS, type KeyLimits } from './key-limits.ts';
import type { KeyReader } from './read-own-objects.ts';

/**
 * Reads keys from a snapshot file as an agent does from its etcd: as they are at its newest revision, in their order. Each
 * call passes through the whole file, since etcd's files have no index by key. Rejects as `openBoltFile` does, with
 * `mvcc.corrupt` and `agent.too-many-keys`.
 */
export function keysInFile(path: string, limits: KeyLimits = KEY_LIMITS): KeyReader {
  return {
    async readKeys({ keys = [], prefixes = [], keysOnly = false }, { signal } = {}) {
      const isAsked = matcher(keys, prefixes);
      await using file = await openBoltFile(path);
      const record = new RecordCursor(path);
      const alive = new Map<string, ReadKeysReply['items'][number]>();
      let bytes = 0;
      let revision = 0;
      const drop = (name: string): void => {
        const before = alive.get(name);
        if (before === undefined) return;
        bytes -= before.key.length + before.value.length;
        alive.delete(name);
      };
      for await (const batch of file.entries('key', { signal })) {
        for (let at = 0; at < batch.count; at++) {
          record.seek(batch, at);
          record.read();
          revision = record.main;
          const { keyStart, keyEnd } = record.fields;
          const name = batch.bytes.toString('latin1', keyStart, keyEnd);
          if (record.isBump || !isAsked(name)) continue;
          drop(name);
          if (record.tombstone) continue;
          const { key, value: found } = record.copy();
          const value = keysOnly ? Buffer.alloc(0) : Buffer.from(found);
          alive.set(name, { key: Buffer.from(key), value, whereAbsent: false });
          bytes += key.length + value.length;
          if (alive.size > limits.keys || bytes > limits.bytes) throw tooMany(path, limits);
        }
      }
      const items = [...alive.values()].sort((a, b) => Buffer.compare(a.key, b.key));
      return { revision: BigInt(revision), items };
    },
  };
}

/** By the bytes of a key, as latin1. */
function matcher(keys: readonly Uint8Array[], prefixes: readonly Uint8Array[]): (name: string) => boolean {
  const wanted = new Set(keys.map(latin1));
  const beginnings = prefixes.map(latin1);
  return (name) => wanted.has(name) || beginnings.some((prefix) => name.startsWith(prefix));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function tooMany(path: string, { keys, bytes }: KeyLimits): GuardianError {
  return new GuardianError(
    'agent.too-many-keys',
    `${path} has more of what was asked for than can be put on top of restored data (${keys} keys, ${bytes} bytes)`,
    { hint: 'Restore without keeping it.' },
  );
}
