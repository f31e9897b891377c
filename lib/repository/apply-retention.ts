import type { CallOptions } from './call-options.ts';
import type { ChainPlace } from './chain.ts';
import { listBackups } from './list-backups.ts';
import type { RepositorySettings } from './repository.ts';
import { type Holdings, planRetention } from './retention.ts';
import type { RetentionPlan, RetentionPolicy } from './retention-policy.ts';
import { basesAmong, readTimelineContent, type SegmentLists } from './timeline-content.ts';
import type { NameRange } from './trims.ts';

/** See `Repository.planRetention`. */
export async function planFor(
  settings: RepositorySettings,
  segments: SegmentLists,
  cluster: string,
  policy: RetentionPolicy,
  options: CallOptions,
): Promise<RetentionPlan> {
  return planRetention(await holdingsOf(settings, segments, cluster, options), policy, settings.clock());
}

/** What a plan trims, by chain. */
export function trimsIn(plan: RetentionPlan): { chain: ChainPlace; ranges: NameRange[] }[] {
  const trims = new Map<string, { chain: ChainPlace; ranges: NameRange[] }>();
  for (const { action, chain, from, to } of plan.segments) {
    if (action !== 'trim') continue;
    const key = `${chain.timeline}/${chain.id}`;
    const { ranges } = trims.get(key) ?? { ranges: [] };
    trims.set(key, { chain, ranges: [...ranges, { from, to }] });
  }
  return [...trims.values()];
}

async function holdingsOf(
  settings: RepositorySettings,
  segments: SegmentLists,
  cluster: string,
  { signal }: CallOptions,
): Promise<Holdings> {
  const backups = await listBackups(settings, cluster, { signal });
  const names = [...new Set(backups.map(({ timeline }) => timeline))];
  const timelines: Holdings['timelines'][number][] = [];
  for (const timeline of names) {
    const { bases } = basesAmong(backups.filter((backup) => backup.timeline === timeline));
    timelines.push(await readTimelineContent(settings, segments, { cluster, timeline }, bases, { signal }));
  }
  return { backups, timelines };
}
