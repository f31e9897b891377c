import type { Graft, Grafts } from '../../lib/restore/grafts.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Grafts on keys `<root><number>`, some of which are there, and on others. */
export function randomGrafts(random: SeededRandom, root: string): Grafts {
  const key = (): string => random.pick([`${root}${random.integer(0, 80)}`, `/own/${random.integer(0, 30)}`]);
  const keys = new Set(Array.from({ length: random.integer(0, 25) }, key));
  const items = [...keys].map((name): Graft => {
    const value = random.bytes(random.pick([0, 20, 700, 9_000]));
    return { key: Buffer.from(name), value, whereAbsent: random.integer(0, 3) === 0 };
  });
  const prefixes = Array.from({ length: random.integer(0, 4) }, () =>
    Buffer.from(random.pick([`${root}${random.integer(0, 9)}`, '/own/', `${root}1`, '/nothing/'])),
  );
  return { items, prefixes };
}

/** What the data has after these were put on top, and which of its keys gave way, in order. */
export function withGrafts(
  data: ReadonlyMap<string, string>,
  { items, prefixes }: Grafts,
): { readonly data: Map<string, string>; readonly gone: string[]; readonly put: string[] } {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
  const isUnder = (key: string): boolean => prefixes.some((prefix) => key.startsWith(text(prefix)));
  const replaced = new Set(items.filter((item) => item.whereAbsent !== true).map((item) => text(item.key)));
  const gone = [...data.keys()].filter((key) => isUnder(key) || replaced.has(key));
  const result = new Map([...data].filter(([key]) => !gone.includes(key)));
  const put = items.filter((item) => !result.has(text(item.key)));
  for (const { key, value } of put) result.set(text(key), text(value));
  const inOrder = (keys: string[]): string[] =>
    keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return { data: result, gone: inOrder(gone), put: inOrder(put.map(({ key }) => text(key))) };
}
