import { createSnapshotVerifier } from '../etcd/mvcc/snapshot-verifier.ts';
import type { HashPoint, SnapshotVerdict, SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { startVerifierThread, type VerifierThread } from '../etcd/mvcc/verifier-thread.ts';
import { GuardianError } from '../guardian-error.ts';
import { ENCRYPTED_VALUES, keysNeeded } from '../keyspace/keys-needed.ts';
import type { Manifest } from './manifest.ts';

/** What is wrong with a base, or differs from its manifest. */
export interface BaseFindings {
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

interface Finding {
  readonly code: string;
  readonly message: string;
}

/** Verifies the snapshot file as if it came from etcd, and compares it with every figure in the manifest. */
export async function checkBase(plain: AsyncIterable<Uint8Array>, manifest: Manifest): Promise<BaseFindings> {
  const options = {
    ...({ trailer: 'required', valuePrefixes: ENCRYPTED_VALUES } as const),
    expectedSize: manifest.base.plainSize,
  };
  if (manifest.base.plainSize < SMALL) {
    const verifier = createSnapshotVerifier(options);
    for await (const chunk of plain) verifier.write(chunk);
    const verdict = verifier.finish();
    return findings(verdict, verdict, manifest);
  }
  await using verifier = startVerifierThread(options);
  for await (const chunk of plain) await verifier.write(chunk);
  return await findings(await verifier.finish(), verifier, manifest);
}

/** Below this size a second thread doesn't pay for its start. */
const SMALL = 16 << 20;

type Answers = Pick<VerifierThread, 'hashKVAt' | 'entryAt'> | Pick<SnapshotVerdict, 'hashKVAt' | 'entryAt'>;

async function findings(
  verdict: SnapshotVerdictData,
  answers: Answers,
  manifest: Manifest,
): Promise<BaseFindings> {
  const { warnings } = verdict;
  if (!verdict.sound) return { problems: verdict.problems, warnings };
  const compared = [
    ...figures(verdict, manifest),
    ...encryptionAtRest(verdict, manifest),
    ...(await hashes(answers, manifest)),
    ...(await anchors(answers, manifest)),
  ];
  const problems = compared
    .filter(([, expected, found]) => expected !== found)
    .map(([name, expected, found]) => ({
      code: 'repository.damaged',
      message: `${name} is ${String(found)} in the snapshot, and ${String(expected)} in the manifest`,
    }));
  return { problems, warnings };
}

/** What a verdict and a manifest have in common. */
const FIGURES = [
  ...(['revision', 'currentRevision', 'compactRevision', 'totalKeys', 'totalEntries', 'totalSize'] as const),
  ...(['pageSize', 'sha256', 'hash', 'leases', 'orphanLeases'] as const),
];

function figures(verdict: SnapshotVerdictData, { snapshot }: Manifest): Comparison[] {
  return [
    ...FIGURES.map((name): Comparison => [name, snapshot[name], verdict[name]]),
    ['alarms', snapshot.alarms.map(alarmText).join(', '), verdict.alarms.map(verdictAlarmText).join(', ')],
  ];
}

/** Absent where whoever made the backup didn't look. */
function encryptionAtRest(verdict: SnapshotVerdictData, { encryptionAtRest }: Manifest): Comparison[] {
  if (encryptionAtRest === undefined) return [];
  const text = (keys: readonly { provider: string; key: string }[]): string =>
    keys.map(({ provider, key }) => `${provider} ${key}`).join(', ') || 'none';
  return [['encryptionAtRest', text(encryptionAtRest), text(keysNeeded(verdict.valuePrefixes ?? []))]];
}

async function hashes(answers: Answers, { snapshot, proof }: Manifest): Promise<Comparison[]> {
  const { hash, ...point } = snapshot.hashKV;
  const compared: Comparison[] = [['hashKV', hash, await hashAt(answers, point)]];
  if (proof.kind === 'live-hashkv' || proof.kind === 'compaction-hashkv') {
    const { revision, compactRevision } = proof;
    compared.push(['the proven hash', proof.hash, await hashAt(answers, { revision, compactRevision })]);
  }
  return compared;
}

async function anchors(answers: Answers, manifest: Manifest): Promise<Comparison[]> {
  const compared: Comparison[] = [];
  for (const { main, sub, checksum, size } of manifest.anchors) {
    const entry = await answers.entryAt({ main, sub });
    const found = `${entry?.checksum}, ${entry?.size} bytes`;
    compared.push([`anchor ${main}.${sub}`, `${checksum}, ${size} bytes`, found]);
  }
  return compared;
}

/** A hash at a revision that the file doesn't hold can't be had, which is a difference too. */
async function hashAt(answers: Answers, point: HashPoint): Promise<Figure> {
  try {
    return await answers.hashKVAt(point);
  } catch (error) {
    if (!(error instanceof GuardianError) || !error.code.startsWith('mvcc.')) throw error;
    return error.message;
  }
}

type Figure = bigint | number | string | undefined;
type Comparison = readonly [name: string, expected: Figure, found: Figure];

function alarmText({ memberId, kind }: Manifest['snapshot']['alarms'][number]): string {
  return `${kind} of ${memberId.toString(16)}`;
}

function verdictAlarmText({ memberId, alarm }: SnapshotVerdictData['alarms'][number]): string {
  return `${alarm} of ${memberId}`;
}
