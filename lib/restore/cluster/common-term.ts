/** What each of those who were asked for a term gave, in their order. */
export type TakenTerms = readonly PromiseSettledResult<bigint>[];

/**
 * One term that all who answer have given, and that is above all they ever gave: where their terms differ, all are asked
 * anew for more than the highest. `take` asks all of them for a term that is at least so high.
 */
export async function commonTerm(
  take: (atLeast: bigint) => Promise<TakenTerms>,
  atLeast: bigint,
): Promise<{ readonly term: bigint; readonly taken: TakenTerms }> {
  let least = atLeast;
  for (;;) {
    const taken = await take(least);
    const given = taken.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    const term = given.reduce((highest, one) => (one > highest ? one : highest), least);
    if (given.every((one) => one === term)) return { term, taken };
    least = term + 1n;
  }
}
