/** Numbers that look random and follow from a seed alone. Not for secrets. */
export interface SeededRandom {
  /** 0 ≤ x < 1, with 32 bits. */
  next(): number;
  /** A whole number, `from` ≤ x < `to`; `to - from` at most 2^32. */
  integer(from: number, to: number): number;
  bytes(count: number): Uint8Array<ArrayBuffer>;
  pick<T>(items: readonly T[]): T;
  /** A new array with the same items in another order. */
  shuffled<T>(items: readonly T[]): T[];
}

/** Equal seeds give equal sequences, on every machine. */
export function seededRandom(seed: number | string): SeededRandom {
  const nextInteger = sfc32(hash(String(seed)));
  const next = (): number => nextInteger() / 2 ** 32;
  const integer = (from: number, to: number): number => from + Math.floor(next() * (to - from));
  return {
    next,
    integer,
    bytes(count) {
      const bytes = new Uint8Array(count);
      for (let at = 0; at < count; at += 4) {
        const four = nextInteger();
        for (let i = 0; i < 4 && at + i < count; i += 1) bytes[at + i] = four >>> (8 * i);
      }
      return bytes;
    },
    pick(items) {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[integer(0, items.length)] as (typeof items)[number];
    },
    shuffled(items) {
      // Fisher–Yates.
      const mixed = [...items];
      for (let last = mixed.length - 1; last > 0; last -= 1) {
        const other = integer(0, last + 1);
        [mixed[last], mixed[other]] = [
          mixed[other] as (typeof mixed)[number],
          mixed[last] as (typeof mixed)[number],
        ];
      }
      return mixed;
    },
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** Chris Doty-Humphrey's "small fast counting" generator, as PractRand has it. */
function sfc32(seed: number): () => number {
  let [a, b, c, counter] = [0, 0, seed, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) next();
  return next;
}
