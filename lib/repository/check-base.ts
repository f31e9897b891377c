import { createSnapshotVerifier } from '../etcd/mvcc/snapshot-verifier.ts';
import { type SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { reasonOf } from '../guardian-error.ts';
import { type Manifest } from './manifest.ts';

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
  const verifier = createSnapshotVerifier({ trailer: 'required', expectedSize: manifest.base.plainSize });
  for await (const chunk of plain) verifier.write(chunk);
  const verdict = verifier.finish();
  const problems = verdict.sound ? differences(verdict, manifest) : verdict.problems;
  return { problems, warnings: verdict.warnings };
}

function differences(verdict: SnapshotVerdict, { snapshot, anchors, proof }: Manifest): Finding[] {
  const { hashKV, alarms, ...plain } = snapshot;
  const figures = Object.entries(plain).map(([name, value]): Comparison => {
    return [name, value, verdict[name as keyof typeof plain]];
  });
  const hash = { revision: hashKV.revision, compactRevision: hashKV.compactRevision };
  const compared: Comparison[] = [
    ...figures,
    ['hashKV', hashKV.hash, answer(() => verdict.hashKVAt(hash))],
    ['alarms', alarms.map(alarmText).join(', '), verdict.alarms.map(verdictAlarmText).join(', ')],
    ...anchors.map(({ main, sub, checksum, size }): Comparison => {
      const entry = verdict.entryAt({ main, sub });
      return [
        `anchor ${main}.${sub}`,
        `${checksum}, ${size} bytes`,
        `${entry?.checksum}, ${entry?.size} bytes`,
      ];
    }),
  ];
  if (proof.kind === 'live-hashkv' || proof.kind === 'compaction-hashkv') {
    compared.push(['the proven hash', proof.hash, answer(() => verdict.hashKVAt(proof))]);
  }
  return compared
    .filter(([, expected, found]) => expected !== found)
    .map(([name, expected, found]) => ({
      code: 'repository.damaged',
      message: `${name} is ${String(found)} in the snapshot, and ${String(expected)} in the manifest`,
    }));
}

type Figure = bigint | number | string | undefined;
type Comparison = readonly [name: string, expected: Figure, found: Figure];

/** A hash at a revision that the file doesn't hold can't be had, which is a difference too. */
function answer(hash: () => number): Figure {
  try {
    return hash();
  } catch (error) {
    return reasonOf(error);
  }
}

function alarmText({ memberId, kind }: Manifest['snapshot']['alarms'][number]): string {
  return `${kind} of ${memberId.toString(16)}`;
}

function verdictAlarmText({ memberId, alarm }: SnapshotVerdict['alarms'][number]): string {
  return `${alarm} of ${memberId}`;
}
