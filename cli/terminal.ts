/** What a command may touch of the world outside: its streams, its environment, its cancellation. */
export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the person pressed Ctrl-C or the process was asked to end. */
  readonly signal: AbortSignal;
}

/** The part of a stream that commands use. */
export interface Output {
  write(text: string): unknown;
  /** True when a person watches: progress may then redraw its line. */
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}
