import type { RestoreStep } from '../lib/restore/offline-restore.ts';
import { bytes, count, counted } from './output.ts';
import { pointTransfer } from './point-options.ts';
import type { ProgressLine } from './progress-line.ts';

/** Shows how far a restore is. */
export function tellRestoreStep(progress: ProgressLine, step: RestoreStep): void {
  switch (step.kind) {
    case 'writing':
      progress.update({ label: `writing ${step.dir.member.name}`, done: step.done, total: step.total });
      return;
    case 'merging':
      progress.update(pointTransfer(step.progress));
      return;
    case 'verified':
      progress.say(
        `verified: revision ${count(step.verdict.currentRevision)}, ${counted(step.verdict.totalKeys, 'key')}, ${bytes(step.verdict.totalSize)}`,
      );
      return;
    case 'reading-back':
      progress.update({ label: `reading ${step.dir.member.name} back`, done: step.done, total: step.total });
  }
}
