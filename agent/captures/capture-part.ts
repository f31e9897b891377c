import type { Sent } from '../../lib/agent-api/fields.ts';
import type { CaptureState, StartCaptureRequest } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { AgentPart, PartTools } from '../agent-part.ts';
import { AgentCapture, captureKey } from './agent-capture.ts';

export interface CapturePart extends AgentPart {
  states(): Sent<CaptureState>[];
  /** Ends all of them, e.g. because etcd has moved; whoever wants them starts them anew. */
  stopAll(): Promise<void>;
}

/** Captures that run on this node, each named by its operation. What they need is held in memory only. */
export function capturePart(tools: PartTools): CapturePart {
  const captures = new Map<string, AgentCapture>();
  const turns = new Map<string, Promise<unknown>>();
  /** Starts and stops of one operation come one after the other; a store that hangs holds up no other. */
  const inTurn = <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const done = (turns.get(operation) ?? Promise.resolve()).then(work);
    const settled = done
      .catch(() => undefined)
      .finally(() => {
        if (turns.get(operation) === settled) turns.delete(operation);
      });
    turns.set(operation, settled);
    return done;
  };
  const { stopWithinMs } = tools.settings;

  const start = async (
    operation: string,
    request: StartCaptureRequest,
    caller: AbortSignal,
  ): Promise<AgentCapture> => {
    tools.signal.throwIfAborted();
    // It waited for its turn until nobody wanted to know any more.
    caller.throwIfAborted();
    const before = captures.get(operation);
    const capture = new AgentCapture(operation, request, tools);
    if (before?.isRunning === true && before.digest === capture.digest) return before;
    // Other credentials or limits: the new one goes on where the old one ends.
    await before?.stop(stopWithinMs);
    tools.signal.throwIfAborted();
    const rival = [...captures.values()].find(
      (one) => one.isRunning && one.operation !== operation && one.key === captureKey(request),
    );
    if (rival !== undefined) {
      throw new GuardianError(
        'agent.capture-exists',
        `operation ${rival.operation} captures into that place already`,
        {
          hint: 'One capture of a cluster into one store is enough: give the other a prefix of its own, or stop one.',
        },
      );
    }
    captures.set(operation, capture);
    forgetEnded(captures);
    await capture.start();
    return capture;
  };

  const stopAll = async (): Promise<void> => {
    await Promise.all([...captures.values()].map((capture) => capture.stop(stopWithinMs)));
    await Promise.all(turns.values());
  };
  return {
    handlers: {
      async startCapture(request, { signal }) {
        const { operation } = await tools.terms.admit(request.fence);
        return (await inTurn(operation, () => start(operation, request, signal))).state();
      },
      async stopCapture({ fence }) {
        const { operation } = await tools.terms.admit(fence);
        // A start that goes on ends by this.
        await captures.get(operation)?.stop(STOP_WITHIN_MS);
        return inTurn(operation, async () => {
          const capture = captures.get(operation);
          await capture?.stop(STOP_WITHIN_MS);
          captures.delete(operation);
          return capture?.state() ?? { operation };
        });
      },
    },
    states: () => [...captures.values()].map((capture) => capture.state()),
    stopAll,
    close: stopAll,
  };
}

/** Within the time that callers give a call. */
const STOP_WITHIN_MS = 10_000;
const MOST_ENDED = 20;

function forgetEnded(captures: Map<string, AgentCapture>): void {
  const ended = [...captures.values()].filter(({ isRunning }) => !isRunning);
  for (const { operation } of ended.slice(0, Math.max(ended.length - MOST_ENDED, 0)))
    captures.delete(operation);
}
