import { choosePoint } from './choose-point.ts';
import {
  type PointInTime,
  type RestorableRange,
  revisionOf,
  spansOf,
  type TimelineContent,
} from './point-spans.ts';
import type { SoundBackup } from './backup-entry.ts';

/** Points that can't be restored any more once a base is gone, one behind the other. */
export interface LostPoints {
  readonly from: PointInTime;
  readonly to: PointInTime;
}

/**
 * What goes with a base: from its revision up to the next base, as far as segments reach, unless those behind the base
 * before it reach it too. Undefined: nothing.
 */
export function lostPoints(content: TimelineContent, base: SoundBackup): LostPoints | undefined {
  const revision = revisionOf(base);
  const others = content.bases.filter((one) => one !== base);
  const before = others.findLast((one) => revisionOf(one) <= revision);
  if (before !== undefined && (reachOf(content, before)?.to.revision ?? -1n) >= revision) return undefined;
  const reach = reachOf(content, base);
  if (reach === undefined) return undefined;
  const next = others.find((one) => revisionOf(one) > revision);
  const end = reach.to.revision;
  const last = next !== undefined && end >= revisionOf(next) ? revisionOf(next) - 1n : end;
  const { seenAt } = choosePoint({ ...content, bases: [base] }, { kind: 'revision', revision: last });
  return { from: reach.from, to: { revision: last, seenAt } };
}

/** With nothing but this base. */
function reachOf(content: TimelineContent, base: SoundBackup): RestorableRange | undefined {
  return spansOf({ ...content, bases: [base] }).find((span) => span.kind === 'range');
}
