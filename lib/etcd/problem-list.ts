/** One thing that is wrong with a file, or odd about it. */
export interface Problem {
  /** Stable and machine-readable: `<room>.<what>`, rooms `file`, `bolt`, `mvcc`, `lease`, `meta`, `members`, `verify`. */
  readonly code: string;
  readonly message: string;
  /** Byte offset in the file of the page that is meant. */
  readonly offset?: number;
  readonly page?: number;
  /** What finds the culprit within: a bucket's name, or a revision such as `17_0`. */
  readonly key?: string;
}

/** Collects problems in the order found: the first `limit` in full, the rest as a number. */
export class ProblemList {
  readonly first: Problem[] = [];
  count = 0;
  private readonly limit: number;

  constructor(limit = 100) {
    this.limit = limit;
  }

  add(problem: Problem): void {
    if (this.count++ < this.limit) this.first.push(problem);
  }
}
