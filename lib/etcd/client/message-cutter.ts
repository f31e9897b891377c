/** Of gRPC's framing: u8 compressed, u32 length, message. */
const PREFIX_BYTES = 5;

/** Gives memory for a message of so many bytes, or throws. */
export type MessageMemory = (length: number) => Buffer;

/** Puts each message where the last one was: for large ones that are done with at once. */
export function reusedMemory(longest: number): MessageMemory {
  const memory = Buffer.allocUnsafeSlow(longest);
  return (length) => memory.subarray(0, atMost(longest, length));
}

/** Leaves each message to whoever gets it. */
export function ownMemory(longest: number): MessageMemory {
  return (length) => Buffer.allocUnsafe(atMost(longest, length));
}

function atMost(longest: number, length: number): number {
  if (length > longest) throw new Error(`a message of ${length} bytes`);
  return length;
}

/** Cuts the bytes of a gRPC call into its messages. Throws at a compressed message, which nobody asked for. */
export class MessageCutter {
  private readonly memory: MessageMemory;
  private readonly prefix = Buffer.alloc(PREFIX_BYTES);
  private readonly onMessage: (message: Buffer) => void;
  private message: Buffer | undefined;
  /** How much of the next prefix, and then of its message, is there. */
  private filled = 0;

  constructor(memory: MessageMemory, onMessage: (message: Buffer) => void) {
    this.memory = memory;
    this.onMessage = onMessage;
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const target = this.message ?? this.prefix;
      const taken = Math.min(bytes.length - at, target.length - this.filled);
      bytes.copy(target, this.filled, at, at + taken);
      at += taken;
      this.filled += taken;
      if (this.message === undefined && this.filled === PREFIX_BYTES) this.begin();
      if (this.filled === this.message?.length) this.end(this.message);
    }
  }

  private begin(): void {
    if (this.prefix[0] !== 0) throw new Error('a compressed message');
    this.message = this.memory(this.prefix.readUInt32BE(1));
    this.filled = 0;
  }

  private end(message: Buffer): void {
    this.message = undefined;
    this.filled = 0;
    this.onMessage(message);
  }
}
