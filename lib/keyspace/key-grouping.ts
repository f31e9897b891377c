import { DEFAULT_PREFIX, parseKey, resourceName } from './parse-key.ts';

/** Sorts keys by (resource, namespace) while a database streams past; numbers are dense, from 0. */
export interface KubernetesKeyGrouping {
  /** The group of the key bytes[start, end). */
  groupOf(bytes: Buffer, start: number, end: number): number;
  /** `pods default`, `nodes`, `widgets.example.com prod`; keys of others by their first segment, `/calico`. */
  nameOf(group: number): string;
}

export interface KeyGroupingOptions {
  /** What API servers put before their keys; OpenShift's beside the usual one. */
  readonly prefixes?: readonly string[];
}

/**
 * A group is what stands before a key's last slash. Finding it allocates nothing: the bytes are looked up in a hash
 * table of the ones seen before, and only a new group costs more. Up to 65,535 groups, and group 0 for what is beyond.
 */
export function keyGrouping({ prefixes = PREFIXES }: KeyGroupingOptions = {}): KubernetesKeyGrouping {
  return new GroupTable(prefixes);
}

const PREFIXES = [DEFAULT_PREFIX, '/kubernetes.io', '/openshift.io'];
const OTHER = 0;
const OTHER_NAME = '(other)';

const SLASH = 0x2f;
const MAX_GROUPS = 65_535;
/** Four slots for each group, so that few look-ups meet a taken one. */
const SLOTS = 1 << 18;
/** Resource, namespace and prefix fit; a hostile key doesn't fill memory. */
const MAX_PATH_BYTES = 512;

class GroupTable implements KubernetesKeyGrouping {
  readonly #prefixes: readonly Buffer[];
  /** Group number by slot, 0 where it is free. */
  readonly #slots = new Uint16Array(SLOTS);
  /** Where each group's path ends in `#paths`; it begins where the one before ends. */
  readonly #ends = new Uint32Array(MAX_GROUPS + 1);
  #paths = Buffer.allocUnsafe(64 * 1024);
  #groups = 0;

  constructor(prefixes: readonly string[]) {
    this.#prefixes = prefixes.map((prefix) => Buffer.from(`${prefix}/`));
  }

  groupOf(bytes: Buffer, start: number, end: number): number {
    const pathEnd = this.#pathEnd(bytes, start, end);
    const length = pathEnd - start;
    if (length <= 0 || length > MAX_PATH_BYTES) return OTHER;
    const ends = this.#ends;
    for (let slot = hashOf(bytes, start, pathEnd); ; slot++) {
      const group = this.#slots[slot & (SLOTS - 1)] ?? 0;
      if (group === 0) return this.#add(slot & (SLOTS - 1), bytes, start, pathEnd);
      const from = ends[group - 1] ?? 0;
      if ((ends[group] ?? 0) - from === length && same(this.#paths, from, bytes, start, length)) return group;
    }
  }

  nameOf(group: number): string {
    if (group === OTHER || group > this.#groups) return OTHER_NAME;
    const path = this.#paths.toString('utf8', this.#ends[group - 1], this.#ends[group]);
    return nameOfPath(path, this.#prefixes.map(String));
  }

  /** The last slash of an API server's key; of any other key the end of its first segment. `start` if there is none. */
  #pathEnd(bytes: Buffer, start: number, end: number): number {
    for (const prefix of this.#prefixes) {
      if (end - start < prefix.length || !same(prefix, 0, bytes, start, prefix.length)) continue;
      const top = start + prefix.length - 1;
      let at = end - 1;
      while (bytes[at] !== SLASH) at--;
      return at > top ? at : start;
    }
    for (let at = start + 1; at < end; at++) {
      if (bytes[at] === SLASH) return at;
    }
    return start;
  }

  #add(slot: number, bytes: Buffer, start: number, pathEnd: number): number {
    if (this.#groups === MAX_GROUPS) return OTHER;
    const from = this.#ends[this.#groups] ?? 0;
    const to = from + pathEnd - start;
    if (to > this.#paths.length) {
      const larger = Buffer.allocUnsafe(this.#paths.length * 2);
      this.#paths.copy(larger, 0, 0, from);
      this.#paths = larger;
    }
    bytes.copy(this.#paths, from, start, pathEnd);
    this.#groups++;
    this.#ends[this.#groups] = to;
    this.#slots[slot] = this.#groups;
    return this.#groups;
  }
}

/** FNV-1a over words of four bytes and the bytes left, folded so that its low bits depend on all. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24);
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function same(left: Buffer, leftStart: number, right: Buffer, rightStart: number, length: number): boolean {
  for (let i = length - 1; i >= 0; i--) {
    if (left[leftStart + i] !== right[rightStart + i]) return false;
  }
  return true;
}

function nameOfPath(path: string, prefixes: readonly string[]): string {
  const prefix = prefixes.find((known) => `${path}/`.startsWith(known));
  if (prefix === undefined) return printable(path);
  // A path is a key without its name: any name stands for the ones it has.
  const key = parseKey(`${path}/name`, prefix.slice(0, -1));
  if (key === undefined) return printable(path.slice(prefix.length)) || OTHER_NAME;
  const resource = printable(resourceName(key));
  return key.namespace === undefined ? resource : `${resource} ${printable(key.namespace)}`;
}

/** A space stands between resource and namespace only. */
function printable(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '?');
}
