import { Buffer } from 'node:buffer';
import { parentPort, workerData } from 'node:worker_threads';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { FromThread, SlotThreadData, ToThread } from './slot-thread.ts';

/** What a worker thread does with what a `SlotThread` sends. */
export interface SlotService {
  /** The next bytes; they are reused when this returns. */
  write(bytes: Buffer): void;
  /** Answers something cloneable, or a Uint8Array, whose memory goes along; what it throws reaches whoever asked. */
  answer(question: unknown): unknown;
}

/** Runs a service in this worker thread. `start` makes it from the options that the thread was started with. */
export async function serveSlots(
  start: (options: unknown) => SlotService | Promise<SlotService>,
): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('a slot service runs in a worker thread only');
  const { memory, slotSize, options } = workerData as SlotThreadData;
  const reply = (message: FromThread, memory: ArrayBuffer[] = []): void => {
    port.postMessage(message, memory);
  };
  const service = await start(options);
  port.on('message', (message: ToThread) => {
    if (message.kind === 'bytes') {
      service.write(Buffer.from(memory, message.slot * slotSize, message.length));
      reply({ kind: 'free', slot: message.slot });
      return;
    }
    try {
      const answer = service.answer(message.question);
      const own = answer instanceof Uint8Array && answer.buffer instanceof ArrayBuffer ? [answer.buffer] : [];
      reply({ kind: 'answer', id: message.id, answer }, own);
    } catch (error) {
      const { code, hint } =
        error instanceof GuardianError ? error : { code: 'thread.failed', hint: undefined };
      reply({ kind: 'refusal', id: message.id, error: { code, message: reasonOf(error), hint } });
    }
  });
}
