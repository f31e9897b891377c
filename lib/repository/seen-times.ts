/** When a revision was seen: at `at` everything up to `revision` had been seen. */
export type SeenRevision = [revision: bigint, at: Date];

/** As many as a segment's head holds. */
export const MAX_TIMES = 1024;

/**
 * When the revisions of one segment were seen, to 100 ms: entries ascend in both parts, the last one is of the newest
 * revision, and a revision without an entry was seen less than 100 ms after the entry before it. Where that would be
 * too many (for a segment that stays open for minutes), the distance doubles.
 */
export class SeenTimes {
  private readonly kept: SeenRevision[] = [];
  private newest: SeenRevision | undefined;
  private distanceMs = 100;

  /** A clock that steps back stands still here until it has passed where it was. */
  saw(revision: bigint, now: Date): void {
    const before = this.newest?.[1] ?? now;
    const at = before > now ? before : now;
    // Only now is it known how long the one before stayed the newest.
    if (this.newest !== undefined && at > this.newest[1] && this.isFar(at)) this.keep(this.newest);
    this.newest = [revision, at];
  }

  entries(): SeenRevision[] {
    return this.newest === undefined ? [] : [...this.kept, this.newest];
  }

  private isFar(at: Date): boolean {
    const last = this.kept.at(-1);
    return last === undefined || at.getTime() - last[1].getTime() >= this.distanceMs;
  }

  private keep(seen: SeenRevision): void {
    this.kept.push(seen);
    if (this.kept.length < MAX_TIMES - 1) return;
    this.distanceMs *= 2;
    const all = this.kept.splice(0);
    for (const each of all) if (this.isFar(each[1])) this.kept.push(each);
  }
}
