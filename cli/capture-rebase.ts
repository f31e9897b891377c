import { REBASE, type RebaseSettings } from '../lib/backup/capture/rebase.ts';
import type { TakeBase } from '../lib/backup/capture/ship-segments.ts';
import type { ChainTail } from '../lib/repository/chain.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import type { Repository, SoundBackup } from '../lib/repository/repository.ts';
import { synthesizeBase } from '../lib/repository/synthesize-base.ts';
import { type FullBackupOptions, fullBackupRequest } from './full-backup-options.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import { parseCount, parseDuration } from './option-values.ts';
import type { Session } from './session.ts';

export interface RebaseOptions extends FullBackupOptions {
  readonly rebase: 'merge' | 'etcd' | 'never';
  readonly rebaseSegments: string;
  readonly rebaseShare: string;
  readonly rebasePause: string;
}

export interface RebaseTools {
  readonly session: Session;
  readonly repository: Repository;
  readonly takeBase: TakeBase;
  /** Where bases are merged, unencrypted. */
  readonly folder: string;
  readonly log: LogLines;
}

export type RebaseLimits = Omit<RebaseSettings, 'rebase'>;

/** When a chain has become long. Throws what the options have wrong. */
export function rebaseLimits(options: RebaseOptions): RebaseLimits {
  const storedShare = Number(options.rebaseShare);
  if (!(storedShare > 0)) {
    throw new GuardianError(
      'usage.number',
      `--rebase-share: "${options.rebaseShare}" is not a number above 0`,
    );
  }
  return {
    segments: parseCount(options.rebaseSegments, '--rebase-segments'),
    storedShare,
    leastBytes: REBASE.leastBytes,
    pauseMs: parseDuration(options.rebasePause, '--rebase-pause'),
  };
}

/** How a chain that has become long gets a new base; undefined: never. */
export function rebaseSettings(
  options: RebaseOptions,
  limits: RebaseLimits,
  tools: RebaseTools,
): RebaseSettings | undefined {
  const { rebase } = options;
  if (rebase === 'never') return undefined;
  const fromEtcd = async (signal: AbortSignal) => (await tools.takeBase(signal)).backup;
  return {
    ...limits,
    rebase: (tail, signal) =>
      rebase === 'etcd' ? fromEtcd(signal) : merged(options, tools, tail, fromEtcd, signal),
  };
}

/** Of what is stored, without asking etcd; where that can't be right, etcd is asked. */
async function merged<Backup>(
  options: RebaseOptions,
  { session, repository, folder, log }: RebaseTools,
  { cluster, timeline, revision }: ChainTail,
  fromEtcd: (signal: AbortSignal) => Promise<Backup>,
  signal: AbortSignal,
): Promise<SoundBackup | Backup> {
  try {
    const point = await repository.points.find(cluster, { kind: 'revision', revision }, { timeline, signal });
    const { base, segments } = point;
    const { retainUntil, labels, requester } = fullBackupRequest(options, session.clock());
    // A member has long compacted that far. With all history, each base would be larger than the one before.
    const compactAt = base.manifest.snapshot.currentRevision;
    return await synthesizeBase(
      { base, segments, revision, compactAt, retainUntil, labels, requester },
      { repository, log: repository.segments, folder, signal },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    log.write(
      'warning',
      'rebase-from-etcd',
      `what is stored can't be merged, a base is taken from etcd: ${errorText(error)}`,
      errorFields(error),
    );
    return fromEtcd(signal);
  }
}
