/**
 * Segments of a chain that were removed together: those whose names hold a revision x with `from` ≤ x < `to`. (The name
 * of a chain's first segment holds the revision of the chain's base, any other one its own `from`.)
 */
export interface TrimmedSegments {
  readonly from: bigint;
  readonly to: bigint;
  /** Number of the trim that removed them. */
  readonly trim: number;
  readonly at: Date;
  readonly by: string;
  readonly reason: string | undefined;
  /** From then on a sweep deletes them. */
  readonly deleteAfter: Date;
  /** True once a sweep has begun to delete: no way back. */
  readonly swept: boolean;
}

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

export function isTrimmed(trimmed: readonly Range[], revisionInName: bigint): boolean {
  return trimmed.some(({ from, to }) => from <= revisionInName && revisionInName < to);
}

/** What is left of a range without those that are taken. */
export function cutOut(range: Range, taken: readonly Range[]): Range[] {
  let left: Range[] = range.from < range.to ? [range] : [];
  for (const { from, to } of taken) {
    left = left.flatMap((one) =>
      to <= one.from || one.to <= from
        ? [one]
        : [
            { from: one.from, to: from },
            { from: to, to: one.to },
          ].filter((piece) => piece.from < piece.to),
    );
  }
  return left;
}

/**
 * Both together, ascending; none may overlap another. Swept neighbours become one, since nothing tells them apart any
 * more: so the list stays short however often a chain is trimmed.
 */
export function withTrimmed(
  before: readonly TrimmedSegments[],
  added: readonly TrimmedSegments[],
): TrimmedSegments[] {
  const joined: TrimmedSegments[] = [];
  for (const one of [...before, ...added].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = joined.at(-1);
    if (last === undefined || !last.swept || !one.swept || last.to !== one.from) {
      joined.push(one);
      continue;
    }
    const later = last.at > one.at ? last : one;
    joined[joined.length - 1] = { ...later, from: last.from, to: one.to };
  }
  return joined;
}
