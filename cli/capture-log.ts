import type { CaptureEvent } from '../lib/backup/capture/run-capture.ts';
import type { CaptureStatus } from '../lib/backup/capture/capture-status.ts';
import type { BaseTaken, Gap } from '../lib/backup/capture/ship-segments.ts';
import { stepMs } from '../lib/repository/clock-steps.ts';
import { clockStepText } from './clock-step-text.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import { bytes, count, duration } from './output.ts';

/** Says in one line what happened; segments that are stored as they should be are left to `logProgress`. */
export function logEvent(log: LogLines, event: CaptureEvent): void {
  switch (event.kind) {
    case 'started':
      log.write('info', 'started', `capturing cluster ${event.cluster} as writer ${hex(event.writerId)}`, {
        cluster: event.cluster,
        writer: hex(event.writerId),
      });
      return;
    case 'chain':
      logGap(log, event.gap);
      logPassedOver(log, event.tail.passedOver ?? []);
      log.write(
        'info',
        'chain',
        `extending chain ${event.tail.id} of timeline ${event.tail.timeline} behind revision ${event.tail.revision}`,
        { chain: event.tail.id, timeline: event.tail.timeline, revision: event.tail.revision },
      );
      return;
    case 'taking-base':
      log.write(
        'info',
        'taking-base',
        `taking a base${event.gap === undefined ? '' : `: ${event.gap.reason}`}`,
      );
      return;
    case 'base':
      logBase(log, event);
      return;
    case 'adopted':
      log.write('info', 'adopted', `another run stored everything up to revision ${event.tail.revision}`, {
        revision: event.tail.revision,
      });
      return;
    case 'trouble':
      logFailure(log, event.of, event.error, `; trying again in ${duration(event.delayMs)}`);
      return;
    case 'watch-trouble':
      logFailure(log, 'etcd', event.error, '; trying again');
      return;
    case 'clock-stepped': {
      const { revision, before, after } = event.step;
      log.write('warning', 'clock-stepped', clockStepText(event.step), {
        ...{ revision, before, after, stepSeconds: stepMs(event.step) / 1000 },
      });
      return;
    }
    case 'spill-failed':
      logFailure(log, 'disk', event.error, '; from now on less fits into the buffer');
      return;
    case 'given-up':
      log.write(
        'error',
        'given-up',
        `what waited for the store is given up (${event.segments} segments): ${errorText(event.error)}`,
        { segments: event.segments, ...errorFields(event.error) },
      );
      return;
    case 'rebasing':
      log.write(
        'info',
        'rebasing',
        `the chain has become long: a new base is made at revision ${event.tail.revision}`,
      );
      return;
    case 'rebased':
      log.write('info', 'rebased', `base ${event.backup.id} is committed; capture went on meanwhile`, {
        backup: event.backup.id,
      });
      return;
    case 'rebase-failed':
      logFailure(log, 'rebase', event.error, '; the chain goes on, a later try makes one');
      return;
    case 'chain-broken':
      log.write(
        'error',
        'chain-broken',
        `BREAK behind revision ${event.after}: what is stored behind it can't be restored any more: ${errorText(event.error)}`,
        { after: event.after, ...errorFields(event.error) },
      );
      return;
    case 'check-failed':
      logFailure(log, 'check', event.error, '; what was stored is looked at again later');
      return;
    case 'extra-base':
      log.write('info', 'taking-base', `taking a base, capture goes on meanwhile: ${event.reason}`, {
        reason: event.reason,
      });
      return;
    case 'extra-base-taken':
      logBase(log, event);
      return;
    case 'extra-base-failed':
      logFailure(log, 'base', event.error, `; not tried again for ${duration(event.delayMs)}`);
      return;
    case 'chain-checked':
    case 'storing':
    case 'stored':
    case 'skipped':
      return;
  }
}

/** What a failure is about, for metrics; undefined for events that are none. */
export function failureOf(event: CaptureEvent): string | undefined {
  switch (event.kind) {
    case 'trouble':
      return event.of;
    case 'watch-trouble':
      return 'etcd';
    case 'spill-failed':
      return 'disk';
    case 'chain-broken':
      return 'chain';
    case 'check-failed':
      return 'check';
    case 'extra-base-failed':
      return 'base';
    case 'rebase-failed':
      return 'rebase';
    case 'given-up':
      return 'store';
    default:
      return undefined;
  }
}

/** How far the capture is, for a line now and then. `before`: as it was at the last such line. */
export function logProgress(log: LogLines, before: CaptureStatus | undefined, now: CaptureStatus): void {
  const since = (read: (status: CaptureStatus) => number): number =>
    read(now) - (before === undefined ? 0 : read(before));
  const [segments, events] = [since((one) => one.storedSegments), since((one) => one.capturedEvents)];
  const size = since((one) => one.storedBytes);
  const wait =
    now.waitingSegments === 0
      ? ''
      : `, ${count(now.waitingSegments)} segments wait (${bytes(now.waitingBytes)})`;
  log.write(
    'info',
    'progress',
    `stored up to revision ${now.storedRevision ?? 'none'}: ${count(segments)} segments, ${count(events)} changes, ${bytes(size)}; behind by ${count(now.lagRevisions)} revisions, ${duration(now.lagSeconds * 1000)}${wait}`,
    {
      ...{ state: now.state, storedRevision: now.storedRevision, currentRevision: now.currentRevision },
      ...{ segments, events, storedBytes: size, lagRevisions: now.lagRevisions, lagSeconds: now.lagSeconds },
      ...{ waitingSegments: now.waitingSegments, waitingBytes: now.waitingBytes, gaps: now.gaps },
    },
  );
}

function logBase(log: LogLines, { backup, timelineReason }: BaseTaken): void {
  const { id, manifest } = backup;
  const begun = timelineReason === undefined ? '' : `; a new timeline begins: ${timelineReason}`;
  const { currentRevision } = manifest.snapshot;
  const size = bytes(manifest.base.storedSize);
  log.write('info', 'base', `base ${id} of revision ${currentRevision} is committed, ${size}${begun}`, {
    ...{ backup: id, revision: currentRevision, storedSize: manifest.base.storedSize },
    timelineReason,
  });
}

function logGap(log: LogLines, gap: Gap | undefined): void {
  if (gap === undefined) return;
  log.write('warning', 'gap', `GAP behind revision ${gap.after}: ${gap.reason}`, {
    after: gap.after,
    reason: gap.reason,
  });
}

function logPassedOver(log: LogLines, names: readonly string[]): void {
  if (names.length === 0) return;
  const [first] = names;
  const more = names.length === 1 ? '' : ` and ${names.length - 1} more`;
  log.write(
    'warning',
    'passed-over',
    `behind the chain's end stands what nobody can use: ${first}${more}; find out who writes to the store`,
    { count: names.length, names: names.slice(0, 10) },
  );
}

function logFailure(log: LogLines, of: string, error: unknown, then: string): void {
  log.write('warning', 'trouble', `${of}: ${errorText(error)}${then}`, { of, ...errorFields(error) });
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}
