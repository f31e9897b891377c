import { zstdCompressSync } from 'node:zlib';
import { serveSlots } from '../etcd/slot-service.ts';
import { frameOptions } from './zstd-frame.ts';

/** More than Node shares. */
const OWN_MEMORY_BYTES = 1 << 20;

/** The worker of `compressFrames`: makes each slot a frame, which it gives out when asked for the next one. */
await serveSlots((level) => {
  const frames: Uint8Array[] = [];
  return {
    write(bytes) {
      frames.push(alone(zstdCompressSync(bytes, frameOptions(level as number, bytes.length))));
    },
    answer: () => frames.shift(),
  };
});

/** In memory of just its size, so that no more is passed on. */
function alone(frame: Buffer): Uint8Array {
  const { buffer, byteOffset, length } = frame;
  const shared = buffer.byteLength < OWN_MEMORY_BYTES || byteOffset > 0;
  if (shared || !(buffer instanceof ArrayBuffer)) return new Uint8Array(frame);
  // Gives back at once what the frame might have taken, instead of when garbage is collected.
  return new Uint8Array(buffer.transfer(length));
}
