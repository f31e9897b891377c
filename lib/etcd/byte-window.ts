import { Buffer } from 'node:buffer';

/**
 * The same bytes as a Buffer, for native calls and copies, and as a DataView, which hot loops read fastest: the engine
 * compiles its getters to single loads that check bounds and always yield a number.
 */
export class ByteWindow {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
