import type { FileHandle } from 'node:fs/promises';
import { childIds } from '../../etcd/bolt/branch-page.ts';
import { keyOf } from '../../etcd/bolt/entry-batch.ts';
import { leafEntries } from '../../etcd/bolt/leaf-page.ts';
import type { Meta } from '../../etcd/bolt/meta.ts';
import { type LoadedPage, PageReader } from '../../etcd/bolt/page-reader.ts';
import { branchKeySize, branchKeyStart, elementOffset } from '../../etcd/bolt/page.ts';
import { readBuckets } from '../../etcd/bolt/reader.ts';
import { decodeRevisionKey } from '../../etcd/mvcc/revision.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';

/** What of a damaged database can be read, by revisions; the ends of what can't are known from the pages above it. */
export interface Readability {
  /** Entries of bucket `key` that can be read. */
  readonly entries: number;
  /** The newest of them. */
  readonly newestRevision: bigint;
  /** The first hundred. `to` undefined: to the end, however far that was. */
  readonly unreadable: readonly UnreadableRange[];
  readonly unreadableCount: number;
}

export interface UnreadableRange {
  readonly from: bigint;
  readonly to: bigint | undefined;
  /** The page that it fails at, and why. */
  readonly page: number;
  readonly why: string;
}

const MOST_TOLD = 100;
const DEEPEST = 32;

/** Walks through all history that a meta leads to, past what is damaged. Rejects with the disk's errors only. */
export async function readability(
  path: string,
  file: FileHandle,
  meta: Meta,
  signal: AbortSignal,
): Promise<Readability> {
  const walk = new Walk(new PageReader(path, file, meta.pageSize, meta.pageCount), signal);
  try {
    const root = (await readBuckets(walk.reader, meta)).get('key')?.entries;
    if (root === undefined)
      walk.unreadable({ from: 0n, to: undefined }, meta.rootPage, 'there is no bucket "key"');
    else if ('page' in root) await walk.descend(root.page, { from: 0n, to: undefined }, 0);
    else for (let at = 0; at < root.inline.count; at++) walk.entry(keyOf(root.inline, at));
  } catch (error) {
    if (!isDamage(error)) throw error;
    walk.unreadable({ from: 0n, to: undefined }, meta.rootPage, reasonOf(error));
  }
  return walk.result();
}

type Range = Pick<UnreadableRange, 'from' | 'to'>;

class Walk {
  readonly reader: PageReader;
  private readonly signal: AbortSignal;
  private readonly told: UnreadableRange[] = [];
  private count = 0;
  private entries = 0;
  private newest = 0n;

  constructor(reader: PageReader, signal: AbortSignal) {
    this.reader = reader;
    this.signal = signal;
  }

  async descend(id: number, range: Range, depth: number): Promise<void> {
    this.signal.throwIfAborted();
    let page: LoadedPage;
    try {
      if (depth > DEEPEST) throw this.reader.corrupt(id, 'deeper than any database');
      page = await this.reader.load(id);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.unreadable(range, id, reasonOf(error));
      return;
    }
    if (page.isLeaf) {
      const leaf = leafEntries(page.bytes, page.start);
      for (let at = 0; at < leaf.count; at++) this.entry(keyOf(leaf, at));
      return;
    }
    const starts = childIds(page).map((child, at) => ({ child, from: firstOf(page, at) ?? range.from }));
    for (const [at, { child, from }] of starts.entries()) {
      await this.descend(child, { from, to: starts[at + 1]?.from ?? range.to }, depth + 1);
    }
  }

  entry(key: Buffer): void {
    const revision = decodeRevisionKey(key)?.main;
    if (revision === undefined) return;
    this.entries++;
    if (revision > this.newest) this.newest = revision;
  }

  unreadable(range: Range, page: number, why: string): void {
    if (this.count++ < MOST_TOLD) this.told.push({ ...range, page, why });
  }

  result(): Readability {
    return {
      entries: this.entries,
      newestRevision: this.newest,
      unreadable: this.told,
      unreadableCount: this.count,
    };
  }
}

function firstOf({ bytes, start }: LoadedPage, child: number): bigint | undefined {
  const element = elementOffset(start, child);
  const keyStart = branchKeyStart(bytes, element);
  return decodeRevisionKey(bytes.subarray(keyStart, keyStart + branchKeySize(bytes, element)))?.main;
}

function isDamage(error: unknown): boolean {
  return error instanceof GuardianError && /^(bolt|mvcc)\./.test(error.code);
}
