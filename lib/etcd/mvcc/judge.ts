import { PageIndex } from '../bolt/page-index.ts';
import type { ProblemList } from '../problem-list.ts';
import { Continuity } from './continuity.ts';
import { EntryTable } from './entry-table.ts';
import { LeasedEntries } from './leased-entries.ts';
import { LiveRecords } from './live-records.ts';
import { RecordHistory } from './record-history.ts';
import type { DatabaseDigest } from './snapshot-digest.ts';
import type { PassResult } from './snapshot-pass.ts';
import type { KeyGrouping, SnapshotVerdict, SnapshotVerdictData } from './snapshot-verdict.ts';

export interface Judgement {
  readonly data: SnapshotVerdictData;
  readonly history: RecordHistory;
}

/** The verdict over a file that has passed. */
export function judge(
  { size, database, census, facts, problems, warnings }: PassResult,
  digest: DatabaseDigest,
  grouping: KeyGrouping | undefined,
): Judgement {
  const pageSize = database?.meta.pageSize ?? 0;
  const pages = database?.meta.pageCount ?? 0;
  const records = database?.walk.records ?? new LiveRecords(new EntryTable(false), new PageIndex());
  const history = new RecordHistory(
    records,
    database?.pages.records.continuity ?? new Continuity(),
    facts,
    problems,
    pageSize,
  );
  if (facts.finishedCompaction > facts.scheduledCompaction) {
    warnings.add({
      code: 'meta.compaction',
      message: `compaction ${facts.finishedCompaction} is marked as finished, but only ${facts.scheduledCompaction} as scheduled`,
      key: 'meta/finishedCompactRev',
    });
  }
  const orphanLeases = history.countOrphans(
    database?.pages.leased ?? new LeasedEntries(),
    facts,
    reportOrphan(warnings),
  );
  const data = {
    sound: problems.count === 0,
    problems: problems.first,
    problemCount: problems.count,
    warnings: warnings.first,
    warningCount: warnings.count,
    ...digest,
    size,
    pageSize,
    totalSize: pages * pageSize,
    pages,
    freePages: database?.freePages ?? 0,
    revision: BigInt(history.revision),
    currentRevision: BigInt(history.currentRevision),
    compactRevision: BigInt(history.compactRevision),
    compacting: history.compacting,
    totalKeys: history.liveKeys,
    totalEntries: database?.walk.entries ?? 0,
    hash: database?.walk.hash ?? 0,
    hashKV: history.hashKVAt({ revision: BigInt(history.currentRevision) }),
    storageVersion: facts.storageVersion,
    clusterVersion: facts.clusterVersion,
    consistentIndex: facts.consistentIndex,
    term: facts.term,
    members: facts.members,
    alarms: facts.alarms,
    leases: facts.leases.count,
    orphanLeases,
    authEnabled: facts.authEnabled,
    statistics: grouping === undefined ? undefined : history.statistics(grouping),
    valuePrefixes: census?.live(records),
  };
  return { data, history };
}

export function verdictOf({ data, history }: Judgement): SnapshotVerdict {
  return {
    ...data,
    hashKVAt: (point) => history.hashKVAt(point),
    entryAt: (revision) => history.entryAt(revision),
    sampleLiveEntries: (count) => history.sampleLiveEntries(count),
    liveEntriesOf: (groups) => history.liveEntriesOf(groups),
    survivors: (compactRevision) => history.survivors(compactRevision),
  };
}

function reportOrphan(warnings: ProblemList): (revision: string, lease: bigint) => void {
  return (revision, lease) => {
    const id = lease.toString(16);
    warnings.add({
      code: 'lease.orphan',
      message: `revision ${revision}: its key is alive under lease ${id}, which is not there: it will never expire`,
      key: revision,
    });
  };
}
