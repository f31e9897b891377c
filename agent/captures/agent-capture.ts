import { createHash, randomBytes } from 'node:crypto';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { CaptureState, StartCaptureRequest } from '../../lib/agent-api/task-messages.ts';
import type { Capture, CaptureEvent } from '../../lib/backup/capture/run-capture.ts';
import type { TakeBase } from '../../lib/backup/capture/ship-segments.ts';
import type { TaskRepository } from '../../lib/backup/task/task-repository.ts';
import { openEphemeralFile } from '../../lib/encryption/ephemeral-file.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { PartTools } from '../agent-part.ts';
import { nodeAttachments } from '../attachments/node-attachments.ts';
import { problemOf } from '../errors-on-wire.ts';
import { accessOf, emptyAsUndefined, knownPointsOf, spoolOf } from '../tasks/task-request.ts';

/** Names what a capture is of: two of the same would contend for one chain. */
export function captureKey({ store, cluster }: StartCaptureRequest): string {
  return [store?.provider, store?.endpoint, store?.bucket, store?.prefix, cluster].join('\n');
}

/** One capture of this node's etcd, from its start to its end. */
export class AgentCapture {
  readonly operation: string;
  readonly key: string;
  /** Tells one request from another with other credentials or limits. */
  readonly digest: string;
  private readonly request: StartCaptureRequest;
  private readonly tools: PartTools;
  private readonly stopping = new AbortController();
  private readonly killing = new AbortController();
  private capture: Capture | undefined;
  private location = '';
  private failure: unknown;
  private over = false;
  /** Never rejects. */
  private ended: Promise<void> = Promise.resolve();

  constructor(operation: string, request: StartCaptureRequest, tools: PartTools) {
    this.operation = operation;
    this.key = captureKey(request);
    this.digest = digestOf(request);
    this.request = request;
    this.tools = tools;
  }

  get isRunning(): boolean {
    return !this.over;
  }

  state(): Sent<CaptureState> {
    const { operation, location, capture, failure } = this;
    const now = capture?.status();
    const trouble = now?.trouble;
    const problem =
      failure === undefined
        ? trouble && {
            ...{ code: 'capture.trouble', message: trouble.message, retryable: true },
            hint: `Since ${trouble.since.toISOString()}; it is tried again.`,
          }
        : problemOf(failure);
    return {
      ...{ operation, location, running: this.isRunning, problem },
      seenRevision: now?.seenRevision ?? 0n,
      storedRevision: now?.storedRevision ?? 0n,
      storedTimeMs: now === undefined ? 0 : this.tools.clock().getTime() - Math.round(now.lagSeconds * 1000),
      lagSeconds: now?.lagSeconds ?? 0,
      gaps: now?.gaps ?? 0,
    };
  }

  /** Resolves when it runs. Rejects with what `startCapture` does; it has ended then. */
  async start(): Promise<void> {
    const begun = this.begin();
    this.ended = begun
      .then(({ ended }) => ended)
      .then(
        () => {
          this.over = true;
        },
        (error: unknown) => {
          this.fail(error);
        },
      );
    this.capture = await begun;
  }

  /** A polite end, also of a start: what was seen is stored, within `withinMs`; then it ends at once. */
  async stop(withinMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.killing.abort(new GuardianError('agent.stopping', 'the agent goes down'));
    }, withinMs);
    this.stopping.abort(new GuardianError('agent.stopping', 'the capture was told to stop'));
    await this.ended;
    clearTimeout(timer);
  }

  private fail(error: unknown): void {
    this.over = true;
    if (this.stopping.signal.aborted) return;
    this.failure = error;
    this.log('error', 'capture-ended', `capture ended: ${errorText(error)}`, errorFields(error));
  }

  private async begin(): Promise<Capture> {
    const { request, tools, stopping, killing } = this;
    const { clock, etcd, settings } = tools;
    const { client } = await etcd.current();
    const [{ startCapture }, { REBASE }, { openTaskRepository }] = await Promise.all([
      import('../../lib/backup/capture/run-capture.ts'),
      import('../../lib/backup/capture/rebase.ts'),
      import('../../lib/backup/task/task-repository.ts'),
    ]);
    const spool = spoolOf(settings);
    const signal = killing.signal;
    // Nothing was seen yet that would have to be stored.
    const opening = AbortSignal.any([killing.signal, stopping.signal]);
    const opened = await openTaskRepository(accessOf(request), {
      ...{ clock, spool, signal: opening, knownPoints: knownPointsOf(settings) },
      onWarning: (message) => {
        this.log('warning', 'store', message);
      },
    });
    opening.throwIfAborted();
    const { repository, store } = opened;
    this.location = repository.location;
    const takeBase = this.baseTaker(opened);
    const { sealIntervalMs, sealBytes } = request;
    return startCapture(
      {
        cluster: emptyAsUndefined(request.cluster),
        limits: {
          ...(sealIntervalMs > 0 ? { intervalMs: sealIntervalMs } : {}),
          ...(sealBytes > 0 ? { bytes: sealBytes } : {}),
        },
        buffer: { memoryBytes: spool.memoryBytes, spillBytes: Math.min(spool.diskBytes, MOST_SPILL) },
        // Merging takes memory and disk, which a node of a control plane has better use for: etcd is asked.
        rebase: {
          ...REBASE,
          pauseMs: REBASE_PAUSE_MS,
          rebase: async (_tail, until) => (await takeBase(until, 'the chain has become long')).backup,
        },
        stopWithinMs: settings.stopWithinMs,
      },
      {
        ...{ client, repository, store, clock, randomBytes, takeBase, signal, stop: stopping.signal },
        openSpill: () => openEphemeralFile(spool.folder),
        onEvent: (event) => {
          this.tell(event);
        },
      },
    );
  }

  private baseTaker({ repository, remember }: TaskRepository): TakeBase {
    const { clock, settings } = this.tools;
    return async (signal, reason) => {
      const { client } = await this.tools.etcd.current();
      const { fullBackup } = await import('../../lib/backup/full-backup.ts');
      const { backup, timelineReason } = await fullBackup(
        {
          cluster: emptyAsUndefined(this.request.cluster),
          proof: { mode: 'auto' },
          ...{ streamLimitMs: STREAM_LIMIT_MS, attempts: ATTEMPTS },
          labels: {
            'etcdguardian.io/capture': this.operation,
            ...(reason === undefined ? {} : { 'taken-because': reason.slice(0, 1000) }),
          },
        },
        {
          ...{ client, repository, clock, signal, attachments: nodeAttachments(settings, clock) },
          onEvent: (event) => {
            if (event.kind === 'attachments' && event.leftOut !== undefined)
              this.log('warning', 'attachments', `files of the node are left out: ${event.leftOut}`);
          },
        },
      );
      await remember(backup);
      return { backup, timelineReason };
    };
  }

  /** What a person may want to find later; the rest is in the state. */
  private tell(event: CaptureEvent): void {
    switch (event.kind) {
      case 'chain':
        this.log('info', 'capturing', `captures behind revision ${event.tail.revision}`, {
          gap: event.gap?.reason,
        });
        return;
      case 'taking-base':
        this.log('info', 'taking-base', `takes a base: ${event.gap?.reason ?? 'there is none yet'}`);
        return;
      case 'given-up':
        this.log('error', 'gap', `what waited was given up: ${errorText(event.error)}`);
        return;
      case 'spill-failed':
        this.log('warning', 'spill-failed', `can't spill to disk: ${errorText(event.error)}`);
        return;
      case 'trouble':
      case 'watch-trouble':
        if (!hasCode(event.error, 'etcd.connection-lost'))
          this.log('warning', 'capture-trouble', errorText(event.error), errorFields(event.error));
        return;
      default:
    }
  }

  private log(
    level: 'info' | 'warning' | 'error',
    event: string,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    this.tools.log.write(level, event, message, { operation: this.operation, ...fields });
  }
}

const MOST_SPILL = 1 << 30;
const REBASE_PAUSE_MS = 3_600_000;
const STREAM_LIMIT_MS = 30 * 60_000;
const ATTEMPTS = 3;

/** Of everything but who may ask. */
function digestOf(request: StartCaptureRequest): string {
  const text = JSON.stringify({ ...request, fence: undefined }, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
