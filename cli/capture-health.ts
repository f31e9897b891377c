import type { CaptureStatus } from '../lib/backup/capture/capture-status.ts';
import { count, duration } from './output.ts';

/** Why a capture isn't well, in words; undefined while it is. `patienceMs`: what passes by itself in that time is no reason. */
export function whyUnhealthy(
  status: CaptureStatus | undefined,
  patienceMs: number,
  now: Date,
): string | undefined {
  if (status === undefined) return undefined;
  const { state, trouble, lagSeconds, lagRevisions } = status;
  if (state === 'stopped') return 'capture has stopped';
  const troubledMs = trouble === undefined ? 0 : now.getTime() - trouble.since.getTime();
  if (trouble !== undefined && troubledMs > patienceMs) {
    return `in trouble for ${duration(troubledMs)}: ${trouble.message}`;
  }
  if (state === 'capturing' && lagSeconds * 1000 > patienceMs) {
    return `nothing got into the store for ${duration(lagSeconds * 1000)}, ${count(lagRevisions)} revisions wait`;
  }
  return undefined;
}
