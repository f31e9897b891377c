/** Of gRPC's framing: u8 compressed, u32 length, message. */
const PREFIX_BYTES = 5;

/**
 * Cuts the bytes of a gRPC call into its messages, which it puts together in one buffer of its own: this runs for every
 * 16 KiB of a snapshot. Throws at a compressed message, which nobody asked for, and at one longer than `longest` bytes.
 */
export class MessageCutter {
  private readonly message: Buffer;
  private readonly prefix = Buffer.alloc(PREFIX_BYTES);
  private readonly onMessage: (message: Buffer) => void;
  /** How much of the next prefix, and then of its message, is there. */
  private filled = 0;
  private length: number | undefined;

  /** A message is `onMessage`'s only until that returns. */
  constructor(longest: number, onMessage: (message: Buffer) => void) {
    this.message = Buffer.allocUnsafeSlow(longest);
    this.onMessage = onMessage;
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const target = this.length === undefined ? this.prefix : this.message;
      const taken = Math.min(bytes.length - at, (this.length ?? PREFIX_BYTES) - this.filled);
      bytes.copy(target, this.filled, at, at + taken);
      at += taken;
      this.filled += taken;
      if (this.length === undefined && this.filled === PREFIX_BYTES) this.begin();
      if (this.filled === this.length) this.end(this.length);
    }
  }

  private begin(): void {
    const length = this.prefix.readUInt32BE(1);
    if (this.prefix[0] !== 0) throw new Error('a compressed message');
    if (length > this.message.length) throw new Error(`a message of ${length} bytes`);
    this.length = length;
    this.filled = 0;
  }

  private end(length: number): void {
    this.length = undefined;
    this.filled = 0;
    this.onMessage(this.message.subarray(0, length));
  }
}
