import { zstdCompressSync } from 'node:zlib';
import { serveSlots } from '../etcd/slot-service.ts';
import { frameOptions } from './zstd-frame.ts';

/** The worker of `compressFrames`: makes each slot a frame, which it gives out when asked for the next one. */
await serveSlots((level) => {
  const frames: Uint8Array[] = [];
  return {
    write(bytes) {
      // A copy of its own, so that no more than the frame is passed on.
      frames.push(new Uint8Array(zstdCompressSync(bytes, frameOptions(level as number, bytes.length))));
    },
    answer: () => frames.shift(),
  };
});
