import { randomBytes } from 'node:crypto';
import { catchUp, type CatchUpEvent, type CaughtUp } from '../lib/backup/capture/catch-up.ts';
import type { TakeBase } from '../lib/backup/capture/ship-segments.ts';
import type { EtcdClient } from '../lib/etcd/client/etcd-client.ts';
import { clockStepText } from './clock-step-text.ts';
import { count, counted, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import type { Reporting } from './report-options.ts';
import type { OpenedRepository } from './repository-options.ts';
import type { Session } from './session.ts';

export interface IncrementalRequest {
  readonly cluster: string | undefined;
  readonly retainUntil: Date | undefined;
  /** Takes a full backup where there is nothing to go on from. */
  readonly takeBase: TakeBase;
}

/** Stores what changed since the last run, and names the restore point that this makes. */
export async function incrementalBackup(
  { terminal, clock }: Session,
  { repository, store, location }: OpenedRepository,
  client: EtcdClient,
  { cluster, retainUntil, takeBase }: IncrementalRequest,
  { format, progress }: Reporting,
): Promise<void> {
  const caughtUp = await catchUp(
    { cluster, retainUntil },
    {
      ...{ client, repository, store, clock, randomBytes, takeBase, signal: terminal.signal },
      onEvent: (event) => {
        tell(progress, event);
      },
    },
  );
  progress.end();
  print(terminal, format, caughtUpValue(caughtUp, location), () => caughtUpText(caughtUp, location));
}

function tell(progress: ProgressLine, event: CatchUpEvent): void {
  switch (event.kind) {
    case 'waiting':
      progress.say(
        `a capture is at work: waiting until it has stored revision ${count(event.revision)} (now ${count(event.tail.revision)})`,
      );
      return;
    case 'stored':
      progress.say(`stored: a segment up to revision ${count(event.tail.revision)}`);
      return;
    case 'watch-trouble':
      progress.say(`warning: etcd: ${event.error.message}; trying again`);
      return;
    case 'clock-stepped':
      progress.say(`warning: ${clockStepText(event.step)}`);
      return;
    case 'taking-base':
      progress.say(`a full backup is needed: ${event.reason}`);
  }
}

function caughtUpValue(caughtUp: CaughtUp, location: string): Readonly<Record<string, unknown>> {
  const { how, cluster, timeline, chain, revision, segments, reason, base } = caughtUp;
  return {
    ...{ how, cluster, timeline, chain, revision, segments, location },
    ...{ base: base?.id ?? null, reason: reason ?? null },
  };
}

function caughtUpText(caughtUp: CaughtUp, location: string): string {
  const { how, cluster, timeline, revision, segments, reason, base } = caughtUp;
  const made = {
    segments: `${counted(segments, 'segment')} stored in ${location}`,
    capture: `stored in ${location} by the capture that is at work`,
    'nothing-new': `nothing had changed: it was in ${location} already`,
    base: `a full backup, ${base?.id ?? ''}, was taken, because ${reason ?? 'there was none'}`,
  };
  return `restore point: revision ${count(revision)} of cluster ${cluster}, timeline ${timeline}
  ${made[how]}
  have it back with: etcdguardian restore --to-revision ${revision} …
`;
}
