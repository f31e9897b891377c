/**
 * The results of `work` for each item, in the items' order, while up to `width` further ones are under way: item n is
 * asked for only when item n - width - 1 is done and its result taken, so `width + 1` buffers serve any number of items.
 */
export async function* orderedAhead<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void> {
  const underWay: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const started = work(item);
      // Without this, a failure before its turn would count as unhandled.
      void started.catch(() => undefined);
      underWay.push(started);
      if (underWay.length <= width) continue;
      yield await next(underWay);
    }
    while (underWay.length > 0) yield await next(underWay);
  } finally {
    await Promise.allSettled(underWay);
  }
}

async function next<Result>(underWay: Promise<Result>[]): Promise<Result> {
  const [first] = underWay;
  if (first === undefined) throw new Error('nothing is under way');
  const result = await first;
  void underWay.shift();
  return result;
}
