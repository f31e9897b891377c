import type { DatabaseSource } from '../etcd/datadir/member-dir.ts';
import type { GroupedEntry, HashPoint, SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { startVerifierThread } from '../etcd/mvcc/verifier-thread.ts';
import { GuardianError } from '../guardian-error.ts';
import { ENCRYPTED_VALUES } from '../keyspace/keys-needed.ts';
import type { GraftKeys } from './graft-grouping.ts';

/** A snapshot file to restore from, wherever it lies. */
export interface SnapshotSource {
  /** For people, e.g. `backup 20261122T053000Z-9f3ac1d0`. */
  readonly label: string;
  /** Its bytes, trailer included where there is one. Opened once. */
  readonly open: (signal: AbortSignal | undefined) => AsyncIterable<Uint8Array>;
  /** Bytes of the database. */
  readonly size: number;
  /** What a signed manifest says of it; absent for a bare file, which has only its trailer to vouch for it. */
  readonly expected?: ExpectedSnapshot | undefined;
  readonly trailer: 'required' | 'optional';
}

export interface ExpectedSnapshot {
  /** Of the database without trailer. */
  readonly sha256: string;
  readonly currentRevision: bigint;
  readonly hashKV: number;
}

/** A database that is judged while it is taken. */
export interface JudgedDatabase extends AsyncDisposable {
  /** Taken without error only if all of it is sound and is what was expected. */
  readonly database: DatabaseSource;
  /** Once it was taken. */
  verdict(): SnapshotVerdictData;
  hashKVAt(point: HashPoint): Promise<number>;
  liveEntriesOf(groups: readonly number[]): Promise<GroupedEntry[]>;
}

/** The same for a snapshot that is read. */
export interface JudgedSnapshot extends JudgedDatabase {
  readonly bytes: AsyncIterable<Uint8Array>;
}

/**
 * Reads `source` once; whoever takes the bytes learns at their end, as `restore.unsound`, if they can't be trusted.
 * `graftKeys` are told apart by `graftGrouping`.
 */
export function judgedSnapshot(
  source: SnapshotSource,
  signal: AbortSignal | undefined,
  graftKeys?: GraftKeys,
): JudgedSnapshot {
  const verifier = startVerifierThread({
    ...{ trailer: source.trailer, valuePrefixes: ENCRYPTED_VALUES },
    grouping: graftKeys === undefined ? undefined : { ...GROUPING, options: graftKeys },
  });
  let verdict: SnapshotVerdictData | undefined;
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of source.open(signal)) {
      await verifier.write(chunk);
      yield chunk;
    }
    const judged = await verifier.finish();
    requireSound(source, judged);
    verdict = judged;
  }
  const checked = bytes();
  return {
    bytes: checked,
    database: { bytes: checked },
    verdict: () => {
      if (verdict === undefined) throw new Error(`${source.label} was not read to its end`);
      return verdict;
    },
    hashKVAt: (point) => verifier.hashKVAt(point),
    liveEntriesOf: (groups) => verifier.liveEntriesOf(groups),
    [Symbol.asyncDispose]: () => verifier[Symbol.asyncDispose](),
  };
}

const GROUPING = { module: new URL('./graft-grouping.ts', import.meta.url), factory: 'graftGrouping' };

function requireSound(source: SnapshotSource, verdict: SnapshotVerdictData): void {
  const { expected } = source;
  const [problem] = verdict.problems;
  const wrong =
    problem?.message ??
    (expected === undefined
      ? undefined
      : (differs('sha256', expected.sha256, verdict.sha256) ??
        differs('revision', expected.currentRevision, verdict.currentRevision) ??
        differs('HashKV', expected.hashKV, verdict.hashKV)));
  if (wrong === undefined) return;
  throw new GuardianError('restore.unsound', `${source.label} can't be restored: ${wrong}`, {
    hint: 'choose another backup ("etcdguardian backup list"); nothing was changed on this disk',
  });
}

function differs(what: string, expected: unknown, found: unknown): string | undefined {
  return expected === found
    ? undefined
    : `its ${what} is ${String(found)}, but its manifest says ${String(expected)}`;
}
