import { type Bucket, readBucket } from '../bolt/bucket-list.ts';
import type { Meta } from '../bolt/meta.ts';
import { BUCKET_ELEMENT } from '../bolt/page.ts';
import { PageKind } from '../bolt/page-index.ts';
import { leafElements } from '../bolt/plain-pages.ts';
import { TreeWalk } from '../bolt/tree-walk.ts';
import { crc32c, joinCrc32c } from '../crc32c.ts';
import type { Problem, ProblemList } from '../problem-list.ts';
import { unpackLeaseLeaf } from './lease-leaf.ts';
import { LiveRecords } from './live-records.ts';
import { INLINE_RECORDS, type PageSummaries } from './page-summaries.ts';
import type { StoreFacts } from './store-facts.ts';

/** The buckets that etcd 3.0 to 3.7 keep. */
const KNOWN_BUCKETS = new Set([
  ...['alarm', 'auth', 'authRoles', 'authUsers', 'cluster', 'key', 'lease'],
  ...['members', 'members_removed', 'meta'],
]);

/**
 * Walks a file's buckets in order, which are all that its root may hold: every page is claimed once, bucket `key`
 * becomes `records`, the entries of the others go into `facts`, and all of it into the hash of `snapshot status`.
 */
export class BucketWalk {
  readonly records: LiveRecords;
  /** CRC-32C over each bucket's name and its keys and values: `snapshot status`. */
  hash = 0;
  /** Entries of all buckets. */
  entries = 0;
  private readonly pages: PageSummaries;
  private readonly meta: Meta;
  private readonly facts: StoreFacts;
  private readonly problems: ProblemList;
  private readonly warnings: ProblemList;
  private readonly walk: TreeWalk;

  constructor(
    pages: PageSummaries,
    meta: Meta,
    facts: StoreFacts,
    problems: ProblemList,
    warnings: ProblemList,
  ) {
    this.pages = pages;
    this.meta = meta;
    this.facts = facts;
    this.problems = problems;
    this.warnings = warnings;
    this.records = new LiveRecords(pages.entries, pages.index);
    this.walk = new TreeWalk(pages, meta, problems);
  }

  /** Pages in use by trees. */
  get reached(): number {
    return this.walk.reached;
  }

  run(): void {
    const buckets: Bucket[] = [];
    this.walk.walk(this.meta.rootPage, 'root', (page) => {
      if (this.pages.index.kindOf(page) !== PageKind.leaf) {
        this.report('bolt.bucket', 'the root holds entries instead of buckets', page, 'root');
        return;
      }
      for (const element of leafElements(this.pages.plainPage(page).bytes, 0)) {
        const bucket = readBucket(element, this.place(page), this.problems);
        if (bucket !== undefined) buckets.push(bucket);
      }
    });
    for (const bucket of buckets) this.bucket(bucket);
    for (const name of ['key', 'meta']) {
      if (!buckets.some((bucket) => bucket.name === name)) {
        this.problems.add({ code: 'bolt.bucket', message: `there is no bucket ${name}`, key: name });
      }
    }
  }

  private bucket(bucket: Bucket): void {
    const { name } = bucket;
    if (!KNOWN_BUCKETS.has(name)) {
      const message = `bucket ${name} is none of etcd's`;
      this.warnings.add({ code: 'bolt.unknown-bucket', message, key: name });
    }
    this.hash = crc32c(Buffer.from(name, 'latin1'), this.hash);
    if ('rootPage' in bucket) {
      this.walk.walk(bucket.rootPage, `bucket ${name}`, (page) => {
        this.leaf(name, page);
      });
    } else if (name === 'key') {
      this.leaf(name, this.pages.inlineRecords(bucket.inlinePage));
    } else {
      this.plainLeaf(name, bucket.inlinePage, this.place(this.meta.rootPage));
    }
  }

  private leaf(bucket: string, page: number): void {
    const { index } = this.pages;
    if (index.kindOf(page) === PageKind.broken) {
      // Only an inline page comes here unclaimed.
      this.report(index.faultOf(page).code, index.faultOf(page).text, page, bucket);
    } else if (index.countOf(page) === 0) {
      return;
    } else if (index.kindOf(page) === PageKind.recordLeaf) {
      this.recordLeaf(bucket, page);
    } else if (bucket === 'key') {
      this.report('mvcc.revision-key', 'holds entries that are not named by revisions', page, bucket);
    } else if (index.kindOf(page) === PageKind.leaseLeaf) {
      this.leaseLeaf(bucket, page);
    } else {
      this.plainLeaf(bucket, this.pages.plainPage(page).bytes, this.place(page));
    }
  }

  private recordLeaf(bucket: string, page: number): void {
    const { entries, index } = this.pages;
    const first = index.refOf(page);
    const count = index.countOf(page);
    this.hash = entries.checksumOf(first, first + count, first, this.hash);
    this.entries += count;
    if (bucket === 'key') this.records.addPage(page);
    else this.report('mvcc.misplaced', 'holds revisions', page, bucket);
  }

  private leaseLeaf(bucket: string, page: number): void {
    const { checksum, size, ids } = unpackLeaseLeaf(this.pages.plainPage(page).bytes);
    this.hash = joinCrc32c(this.hash, checksum, size);
    this.entries += this.pages.index.countOf(page);
    if (bucket === 'lease') this.facts.leases.add(ids);
    else this.report('lease.misplaced', 'holds leases', page, bucket);
  }

  private plainLeaf(bucket: string, bytes: Buffer, place: Place): void {
    for (const { flags, key, value } of leafElements(bytes, 0)) {
      this.entries++;
      this.hash = crc32c(key, this.hash);
      if (flags === BUCKET_ELEMENT) {
        const message = `bucket ${bucket} holds another bucket`;
        this.problems.add({ code: 'bolt.bucket', message, ...place, key: bucket });
        continue;
      }
      this.hash = crc32c(value, this.hash);
      this.facts.take(bucket, key, value, place);
    }
  }

  private place(page: number): Place {
    const inFile = page === INLINE_RECORDS ? this.meta.rootPage : page;
    return { page: inFile, offset: inFile * this.meta.pageSize };
  }

  private report(code: string, text: string, page: number, bucket: string): void {
    const place = this.place(page);
    this.problems.add({
      code,
      message: `bucket ${bucket}: page ${place.page}: ${text}`,
      ...place,
      key: bucket,
    });
  }
}

type Place = Required<Pick<Problem, 'page' | 'offset'>>;
