import { Command } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import { connectEtcd } from '../lib/etcd/client/connect-etcd.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import type { ChainTail, StoredSegment } from '../lib/repository/chain.ts';
import type { ClockStep } from '../lib/repository/clock-steps.ts';
import type { CallOptions, Repository } from '../lib/repository/repository.ts';
import { EXIT_CODES } from './exit-code.ts';
import { clockStepText } from './clock-step-text.ts';
import { etcdSettings, withEtcdOptions, type EtcdOptions } from './etcd-options.ts';
import { parseDuration } from './option-values.ts';
import { age, count, counted, duration, fields, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface StatusOptions extends EtcdOptions, RepositoryOptions, ReportOptions {
  readonly maxLag?: string;
}

/** What store and etcd say of a capture; the process itself isn't asked. */
interface Captured {
  readonly tail: ChainTail;
  /** The first of the chain's segments that still stand; undefined while there is none. */
  readonly first: StoredSegment | undefined;
  /** etcd's, unless it wasn't asked. */
  readonly currentRevision: bigint | undefined;
  readonly lagRevisions: number | undefined;
  /** At most: since the last change that is stored was seen. */
  readonly lagMs: number | undefined;
}

export function captureStatusCommand(session: Session): Command {
  const command = new Command('status')
    .summary('how far the capture is: its end in the store, and how far etcd is ahead of it')
    .description(
      `Compares where the captured segments end in the store with what etcd holds now;
the process that captures is not needed for that, but given the time to seal
what it saw last. Without --endpoints only the store is asked. Exit status 4
when nothing was ever captured, 1 when the lag is more than --max-lag, else 0.`,
    )
    .option('--max-lag <duration>', 'end with 1 when more is missing than what was seen in this time');
  withEtcdOptions(withRepositoryOptions(command));
  return withReportOptions(command).action(async (options: StatusOptions) => {
    const { terminal, clock } = session;
    const { signal } = terminal;
    const report = reporting(session, options);
    const maxLagMs = options.maxLag === undefined ? undefined : parseDuration(options.maxLag, '--max-lag');
    const { repository, location } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const [tail] = await repository.segments.tails(cluster, { signal });
    if (tail === undefined) {
      throw new GuardianError('repository.not-found', `nothing of cluster ${cluster} is in ${location}`, {
        hint: 'begin with "etcdguardian capture run"',
      });
    }
    const captured = await compare(session, options, repository, tail);
    print(terminal, report.format, statusValue(cluster, captured), () =>
      statusText(cluster, location, captured, clock()),
    );
    if (tail.last === undefined) session.exitCode = EXIT_CODES.notFound;
    else if (maxLagMs !== undefined && (captured.lagMs ?? 0) > maxLagMs) session.exitCode = EXIT_CODES.failed;
  });
}

async function compare(
  { terminal, clock }: Session,
  options: StatusOptions,
  repository: Repository,
  tail: ChainTail,
): Promise<Captured> {
  const { signal } = terminal;
  const first = await firstSegment(repository, tail, { signal });
  const endpoints = options.endpoints ?? terminal.env.ETCDCTL_ENDPOINTS;
  if (endpoints === undefined || endpoints === '') {
    return { tail, first, currentRevision: undefined, lagRevisions: undefined, lagMs: undefined };
  }
  await using client = connectEtcd(etcdSettings(options, terminal));
  const { header } = await client.range('\0', { countOnly: true, signal });
  if (header.clusterId !== tail.etcdClusterId) {
    throw new GuardianError(
      'repository.other-cluster',
      `etcd has cluster id ${header.clusterId.toString(16)}, the capture ${tail.etcdClusterId.toString(16)}`,
      {
        hint: 'Was the cluster restored, or are the endpoints those of another one? "capture run" begins a new timeline.',
      },
    );
  }
  const reached = await waitedFor(repository, tail, header.revision, signal);
  const behind = header.revision - reached.revision;
  const lagRevisions = behind > 0n ? Number(behind) : 0;
  const lagMs = lagRevisions === 0 ? 0 : Math.max(0, clock().getTime() - lastSeenAt(reached).getTime());
  return { tail: reached, first, currentRevision: header.revision, lagRevisions, lagMs };
}

/**
 * The tail, once a capture has had the time to store what etcd held when it was asked. Only this tells a capture that
 * has nothing to do from one that doesn't run.
 */
async function waitedFor(
  repository: Repository,
  tail: ChainTail,
  revision: bigint,
  signal: AbortSignal,
): Promise<ChainTail> {
  const { writer } = tail.last?.head ?? {};
  const until = performance.now() + (writer?.kind === 'capture' ? writer.sealIntervalMs + PATIENCE_MS : 0);
  let reached = tail;
  while (reached.revision < revision && performance.now() < until) {
    // No store tells that an object was written.
    await delay(LOOK_EVERY_MS, undefined, { signal });
    const tails = await repository.segments.tails(tail.cluster, { signal });
    reached = tails.find(({ timeline, id }) => timeline === tail.timeline && id === tail.id) ?? reached;
  }
  return reached;
}

const PATIENCE_MS = 5_000;
const LOOK_EVERY_MS = 500;

async function firstSegment(
  repository: Repository,
  tail: ChainTail,
  options: CallOptions,
): Promise<StoredSegment | undefined> {
  for await (const listed of repository.segments.list(tail, options)) {
    return listed.state === 'sound' ? listed : undefined;
  }
  return undefined;
}

function lastSeenAt({ last }: ChainTail): Date {
  return last?.head.times.at(-1)?.[1] ?? last?.head.sealedAt ?? new Date(0);
}

function statusValue(cluster: string, captured: Captured): Readonly<Record<string, unknown>> {
  const { tail, first, currentRevision, lagRevisions, lagMs } = captured;
  const head = tail.last?.head;
  return {
    ...{ cluster, timeline: tail.timeline, chain: tail.id, capturing: head !== undefined },
    ...{ storedRevision: tail.revision, currentRevision: currentRevision ?? null },
    ...{ lagRevisions: lagRevisions ?? null, lagSeconds: lagMs === undefined ? null : lagMs / 1000 },
    segments: tail.index,
    ...{ lastSealedAt: head?.sealedAt ?? null, lastSeenAt: head === undefined ? null : lastSeenAt(tail) },
    writer:
      head === undefined
        ? null
        : { id: hex(head.writer.id), kind: head.writer.kind, sealIntervalMs: head.writer.sealIntervalMs },
    gap: first?.head.gap ?? null,
    clockSteps: (head?.clockSteps ?? []).map(({ revision, before, after }) => ({ revision, before, after })),
  };
}

function statusText(cluster: string, location: string, captured: Captured, now: Date): string {
  const { tail, first, currentRevision, lagRevisions, lagMs } = captured;
  const head = tail.last?.head;
  if (head === undefined) {
    return `nothing was captured of cluster ${cluster} behind its backup of revision ${count(tail.revision)} in ${location}\n`;
  }
  const { writer, sealedAt } = head;
  const gap = first?.head.gap;
  const how =
    writer.kind === 'capture' ? `a capture, every ${duration(writer.sealIntervalMs)}` : 'single runs';
  return (
    `${headline(cluster, captured, now)}\n` +
    fields([
      ['stored up to', `revision ${count(tail.revision)}, seen ${lastSeenAt(tail).toISOString()}`],
      ['etcd is at', currentRevision === undefined ? undefined : `revision ${count(currentRevision)}`],
      [
        'behind by',
        lagRevisions === undefined || lagMs === undefined
          ? undefined
          : `${counted(lagRevisions, 'revision')}${lagRevisions === 0 ? '' : `, at most ${duration(lagMs)}`}`,
      ],
      [
        'last segment',
        `sealed ${sealedAt.toISOString()} (${age(sealedAt, now)} ago) by writer ${hex(writer.id)}: ${how}`,
      ],
      ['chain', `${tail.id} of timeline ${tail.timeline}: ${counted(tail.index, 'segment')} so far`],
      ['clock', lastStepText(head.clockSteps)],
      ['last gap', gap === undefined ? 'none' : `behind revision ${count(gap.after)}: ${gap.reason}`],
    ])
  );
}

/** Undefined: the writers of the chain saw no step of their clocks. */
function lastStepText(steps: readonly ClockStep[] = []): string | undefined {
  const last = steps.at(-1);
  return last && `${counted(steps.length, 'step')}; the last time ${clockStepText(last)}`;
}

/** The answer to "is all well?". Segments are written only when something changes, so that only etcd knows. */
function headline(cluster: string, { lagRevisions, tail }: Captured, now: Date): string {
  if (lagRevisions === undefined) {
    return `cluster ${cluster}: the last change was captured ${age(lastSeenAt(tail), now)} ago (with --endpoints etcd is asked, too)`;
  }
  return lagRevisions === 0
    ? `cluster ${cluster}: everything is captured`
    : `cluster ${cluster}: the capture is BEHIND by ${counted(lagRevisions, 'revision')}, or doesn't run`;
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}
