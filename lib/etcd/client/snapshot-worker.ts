import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../../guardian-error.ts';
import { type CallEnd, framed, openSession, startCall, tokenMetadata, UNAVAILABLE } from './grpc-call.ts';
import { MessageCutter, reusedMemory } from './message-cutter.ts';
import { SlotFiller } from './slot-filler.ts';
import { SnapshotOrder } from './snapshot-order.ts';
import { decodeSnapshotPiece } from './snapshot-piece.ts';
import type { FromReceiver, ReceiverData, ToReceiver } from './snapshot-receiver.ts';

// The worker of `SnapshotReceiver`. It imports little: the smaller its heap, the cheaper it is to collect.

const { memory, slotSize, options } = workerData as ReceiverData;
const { route, paths } = options;
const metadata = tokenMetadata(options.token);
/** What both calls ask with. */
const NO_FIELDS = framed(Buffer.alloc(0));
/** In how many parts the time is counted that etcd may say nothing. */
const IDLE_STEPS = 20;
const last = Promise.withResolvers<FromReceiver>();
const order = new SnapshotOrder();
const slots = new SlotFiller(memory, slotSize, (slot, length) => {
  const { totalBytes, receivedBytes, storageVersion } = order;
  tell({ kind: 'filled', slot, length, totalBytes, receivedBytes, storageVersion });
});
let waitsForRoom = false;
/** Counted, not timed: a process that was stopped itself has heard nothing meanwhile, and blames nobody for it. */
let silentSteps = 0;
const listening = setInterval(() => {
  if (!waitsForRoom && ++silentSteps >= IDLE_STEPS) last.resolve({ kind: 'idle' });
}, options.idleTimeoutMs / IDLE_STEPS);

function tell(message: FromReceiver): void {
  parentPort?.postMessage(message);
}

/** Who sends is asked over the connection that the snapshot will come over. */
async function receive(): Promise<FromReceiver> {
  const session = await openSession(route, options);
  const replies = new MessageCutter(reusedMemory(slotSize), (reply) => {
    tell({ kind: 'status', reply: new Uint8Array(reply) });
  });
  const status = startCall(session, paths.status, metadata, reading(replies));
  status.stream.end(NO_FIELDS);
  const asked = await status.end;
  if (asked.code !== 0) return { kind: 'ended', end: asked };

  const pieces = new MessageCutter(reusedMemory(slotSize), takePiece);
  const read = reading(pieces);
  const { stream, end } = startCall(session, paths.snapshot, metadata, (bytes) => {
    read(bytes);
    if (slots.hasRoom) return;
    waitsForRoom = true;
    stream.pause();
  });
  stream.end(NO_FIELDS);
  parentPort?.on('message', ({ free }: ToReceiver) => {
    slots.giveBack(free);
    if (!waitsForRoom) return;
    waitsForRoom = false;
    silentSteps = 0;
    stream.resume();
  });
  return conclusion(await end);
}

/** Bytes that make no sense end everything. */
function reading(cutter: MessageCutter): (bytes: Buffer) => void {
  return (bytes) => {
    silentSteps = 0;
    try {
      cutter.write(bytes);
    } catch (error) {
      last.resolve({ kind: 'senseless', reason: reasonOf(error) });
    }
  };
}

function takePiece(message: Buffer): void {
  const piece = decodeSnapshotPiece(message);
  if (!order.take(piece)) {
    throw new Error(
      `${piece.remainingBytes} bytes to come after ${order.receivedBytes} of ${order.totalBytes ?? 0}`,
    );
  }
  slots.write(piece.blob);
}

function conclusion(end: CallEnd): FromReceiver {
  return end.code === 0 && order.complete ? { kind: 'complete' } : { kind: 'ended', end };
}

receive().then(last.resolve, (error: unknown) => {
  last.resolve({ kind: 'ended', end: { code: UNAVAILABLE, details: reasonOf(error) } });
});
const told = await last.promise;
clearInterval(listening);
slots.flush();
tell(told);
