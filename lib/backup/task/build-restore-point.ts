import { synthesizeBase } from '../../repository/synthesize-base.ts';
import { OPERATION_LABEL } from './run-backup-task.ts';
import { openTaskRepository, type RepositoryAccess, type RepositoryTools } from './task-repository.ts';

/** A base at a revision that only segments reach so far. */
export interface RestorePointTask {
  readonly operation: string;
  readonly repository: RepositoryAccess;
  readonly cluster: string;
  /** Empty: the newest that has the revision. */
  readonly timeline: string;
  readonly revision: bigint;
}

export interface RestorePointTools extends RepositoryTools {
  readonly onProgress: (message: string, done: number, total: number) => void;
}

/** Fields as in `RestorePointResult` of agent.proto. */
export interface BuiltRestorePoint {
  readonly point: { readonly timeline: string; readonly chain: string; readonly revision: bigint };
  readonly storedBytes: number;
}

/**
 * Merges a base with the segments behind it into a new base, without asking etcd. One that is there already is taken.
 * Rejects as `points.find` and `synthesizeBase` do. The merged file takes room in the spool's folder meanwhile.
 */
export async function buildRestorePoint(
  { operation, repository: access, cluster, timeline, revision }: RestorePointTask,
  tools: RestorePointTools,
): Promise<BuiltRestorePoint> {
  const { signal, spool, onProgress } = tools;
  const { repository, remember } = await openTaskRepository(access, tools);
  const point = await repository.points.find(
    cluster,
    { kind: 'revision', revision },
    timeline === '' ? { signal } : { timeline, signal },
  );
  const { base, segments } = point;
  if (base.manifest.snapshot.currentRevision === revision) return builtOf(base);
  const made = await synthesizeBase(
    {
      ...{ base, segments, revision, compactAt: base.manifest.snapshot.currentRevision },
      labels: { [OPERATION_LABEL]: operation },
    },
    {
      ...{ repository, log: repository.segments, folder: spool.folder, signal },
      onProgress: (progress) => {
        if (progress.step === 'storing') onProgress('storing the merged base', progress.done, progress.total);
        else onProgress(`merging: ${progress.step}`, 0, 0);
      },
    },
  );
  await remember(made);
  return builtOf(made);
}

type Built = Awaited<ReturnType<typeof synthesizeBase>>;

function builtOf({ timeline, id, manifest }: Built): BuiltRestorePoint {
  return {
    point: { timeline, chain: id, revision: manifest.snapshot.currentRevision },
    storedBytes: manifest.base.storedSize,
  };
}
