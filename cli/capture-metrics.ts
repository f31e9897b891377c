import { Counter, Gauge, Registry } from 'prom-client';
import type { CaptureStatus } from '../lib/backup/capture/capture-status.ts';
import { stepMs } from '../lib/repository/clock-steps.ts';
import { VERSION } from '../lib/program-version.ts';

/** What Prometheus scrapes: read from the capture when it is asked for. */
export interface CaptureMetrics {
  /** Counts a failure that capture goes on after, of `etcd`, `store`, `base`, `disk`, `rebase`, `chain` or `check`. */
  failed(of: string, at: Date): void;
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** All are named `etcdguardian_capture_…` and carry the cluster. `status`: undefined before the capture has begun. */
export function captureMetrics(status: () => CaptureStatus | undefined): CaptureMetrics {
  const registry = new Registry();
  const name = (what: string): string => `etcdguardian_capture_${what}`;
  const gauge = (what: string, help: string, read: (now: CaptureStatus) => number | undefined): void => {
    new Gauge({
      ...{ name: name(what), help, registers: [registry], labelNames: ['cluster'] },
      collect() {
        this.reset();
        const now = status();
        const value = now && read(now);
        if (now !== undefined && value !== undefined) this.set({ cluster: now.cluster }, value);
      },
    });
  };
  const counter = (what: string, help: string, read: (now: CaptureStatus) => number): void => {
    new Counter({
      ...{ name: name(what), help, registers: [registry], labelNames: ['cluster'] },
      collect() {
        this.reset();
        const now = status();
        if (now !== undefined) this.inc({ cluster: now.cluster }, read(now));
      },
    });
  };
  const revision = (value: bigint | undefined): number | undefined =>
    value === undefined ? undefined : Number(value);

  gauge('up', '1 while segments follow one another, else 0', ({ state }) => Number(state === 'capturing'));
  gauge('stored_revision', 'Everything up to here is in the store', (now) => revision(now.storedRevision));
  gauge('seen_revision', 'Everything up to here was seen', (now) => revision(now.seenRevision));
  gauge('etcd_revision', 'The newest revision of etcd, as far as it told', (now) =>
    revision(now.currentRevision),
  );
  gauge('lag_revisions', 'Revisions that are not in the store yet', ({ lagRevisions }) => lagRevisions);
  gauge(
    'lag_seconds',
    'Age of the oldest change that is not in the store yet',
    ({ lagSeconds }) => lagSeconds,
  );
  gauge('queue_segments', 'Segments that wait for the store', ({ waitingSegments }) => waitingSegments);
  gauge(
    'queue_bytes',
    'Bytes of what waits for the store, in memory and on disk',
    ({ waitingBytes }) => waitingBytes,
  );
  gauge('spilled_bytes', 'Bytes of it that are on disk', ({ spilledBytes }) => spilledBytes);
  gauge(
    'trouble_since_timestamp_seconds',
    'Since when etcd, store or base are in trouble; absent: they are not',
    (now) => (now.trouble === undefined ? undefined : now.trouble.since.getTime() / 1000),
  );
  counter('events_total', 'Changes that were seen', ({ capturedEvents }) => capturedEvents);
  counter('segments_total', 'Segments that were stored', ({ storedSegments }) => storedSegments);
  counter('stored_bytes_total', 'Bytes of them, as stored', ({ storedBytes }) => storedBytes);
  counter('gaps_total', 'Gaps: stretches of revisions that nobody captured', ({ gaps }) => gaps);
  counter(
    'breaks_total',
    'Holes in what was stored, behind which nothing could be restored until a base was taken',
    ({ breaks }) => breaks,
  );
  counter('checks_total', 'Looks whether what was stored still stands, and it did', ({ checks }) => checks);
  counter('bases_total', 'Bases that were taken', ({ bases }) => bases);
  counter(
    'clock_steps_total',
    'Times that the clock of this machine stepped',
    ({ clockSteps }) => clockSteps,
  );
  gauge(
    'last_clock_step_seconds',
    'By how much it stepped the last time, negative: back; absent: it did not',
    ({ lastClockStep }) => lastClockStep && stepMs(lastClockStep) / 1000,
  );
  counter('connections_total', 'Watches that were opened', ({ connections }) => connections);
  const failures = new Counter({
    ...{ name: name('failures_total'), help: 'Failures that capture went on after', registers: [registry] },
    labelNames: ['of'],
  });
  const lastFailure = new Gauge({
    ...{
      name: name('last_failure_timestamp_seconds'),
      help: 'When the last of them was',
      registers: [registry],
    },
    labelNames: ['of'],
  });
  new Gauge({
    ...{ name: 'etcdguardian_build_info', help: 'The program that runs', registers: [registry] },
    labelNames: ['version'],
  }).set({ version: VERSION }, 1);
  return {
    failed: (of, at) => {
      failures.inc({ of });
      lastFailure.set({ of }, at.getTime() / 1000);
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
