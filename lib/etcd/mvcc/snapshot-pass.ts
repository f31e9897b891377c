import { checkFreelist } from '../bolt/freelist-check.ts';
import { chooseMeta, findMetas, META_SEARCH_SIZE, type Meta, metaFault } from '../bolt/meta.ts';
import { FIRST_DATA_PAGE, META_PAGE, readPageHeader } from '../bolt/page.ts';
import { PageKind } from '../bolt/page-index.ts';
import { PageStream } from '../bolt/page-stream.ts';
import { ByteWindow } from '../byte-window.ts';
import { ProblemList } from '../problem-list.ts';
import { BucketWalk } from './bucket-walk.ts';
import { type PassLimits, passLimits, processMemory } from './pass-limits.ts';
import { PageSummaries, type Reread } from './page-summaries.ts';
import { type DatabaseDigest, hasTrailer, TRAILER_SIZE } from './snapshot-digest.ts';
import type { KeyGrouping, ValuePrefixes } from './snapshot-verdict.ts';
import { StoreFacts } from './store-facts.ts';
import { ValueCensus } from './value-census.ts';

export interface SnapshotPassOptions {
  /** A snapshot must end in its SHA-256; the file of a member, `member/snap/db`, has none. */
  readonly trailer: 'required' | 'optional';
  /** Bytes, trailer included, when the sender announced them. */
  readonly expectedSize?: number | undefined;
  readonly grouping?: KeyGrouping | undefined;
  readonly valuePrefixes?: ValuePrefixes | undefined;
  /**
   * Bytes kept at most of MVCC entries, live ones and those in free pages together, and as many again of live ones; left
   * out, see `passLimits`. A live page beyond that is read once more where `reread` is given, and is a problem elsewhere.
   */
  readonly maxRecordBytes?: number | undefined;
  readonly reread?: Reread | undefined;
}

/** What a pass found, before its records are judged as a history. */
export interface PassResult {
  readonly size: number;
  /** Undefined when there was no usable meta page to start from. */
  readonly database: PassedDatabase | undefined;
  /** Undefined when nobody asked. */
  readonly census: ValueCensus | undefined;
  readonly facts: StoreFacts;
  readonly problems: ProblemList;
  readonly warnings: ProblemList;
}

export interface PassedDatabase {
  readonly meta: Meta;
  readonly pages: PageSummaries;
  readonly walk: BucketWalk;
  readonly freePages: number;
}

/**
 * One pass over the bytes of a snapshot or of a member's file, in order: `write` reduces pages as they come, `finish`
 * walks the trees over what was kept. Never throws for what the bytes say.
 */
export class SnapshotPass {
  private readonly options: SnapshotPassOptions;
  private readonly problems = new ProblemList();
  private readonly warnings = new ProblemList();
  private readonly census: ValueCensus | undefined;
  private size = 0;
  /** The beginning of the file, until it is long enough to find its meta pages. */
  private head: Buffer[] | undefined = [];
  private meta: Meta | undefined;
  private pages: PageSummaries | undefined;
  private stream: PageStream | undefined;

  constructor(options: SnapshotPassOptions) {
    this.options = options;
    const { valuePrefixes } = options;
    this.census = valuePrefixes === undefined ? undefined : new ValueCensus(valuePrefixes);
  }

  /** The next bytes; they belong to the caller again when this returns. */
  write(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (this.head === undefined) this.stream?.write(new ByteWindow(chunk));
    else {
      this.head.push(Buffer.from(chunk));
      if (this.size >= META_SEARCH_SIZE) this.start(Buffer.concat(this.head));
    }
  }

  finish(digest: DatabaseDigest): PassResult {
    if (this.head !== undefined) this.start(Buffer.concat(this.head));
    this.stream?.finish();
    const { meta, pages, problems, warnings, size, census } = this;
    this.checkSize(digest);
    const facts = new StoreFacts(problems);
    if (meta === undefined || pages === undefined) {
      return { size, database: undefined, census, facts, problems, warnings };
    }
    const walk = new BucketWalk(pages, meta, facts, problems, warnings);
    walk.run();
    let freePages = meta.pageCount - FIRST_DATA_PAGE - walk.reached;
    if (meta.freelistPage !== undefined) freePages -= this.checkFreelist(meta.freelistPage, meta, pages);
    return { size, database: { meta, pages, walk, freePages }, census, facts, problems, warnings };
  }

  private start(head: Buffer): void {
    this.head = undefined;
    const meta = this.findMeta(head);
    if (meta === undefined) return;
    this.meta = meta;
    const limits = this.limits();
    this.pages = new PageSummaries({
      pageSize: meta.pageSize,
      rootPage: meta.rootPage,
      freelistPage: meta.freelistPage,
      limits,
      grouping: this.options.grouping,
      census: this.census,
      reread: this.options.reread,
    });
    this.stream = new PageStream(meta.pageSize, meta.pageCount, this.pages, limits.gathered);
    this.stream.write(new ByteWindow(head));
  }

  private limits(): PassLimits {
    const limits = passLimits(this.options.reread !== undefined, processMemory());
    const { maxRecordBytes } = this.options;
    return maxRecordBytes === undefined
      ? limits
      : { ...limits, records: maxRecordBytes, liveRecords: maxRecordBytes };
  }

  private findMeta(head: Buffer): Meta | undefined {
    const found = findMetas(head);
    if (found === undefined) {
      this.report(
        'bolt.no-meta',
        'the file has no valid meta page: it is not an etcd snapshot, or badly damaged',
      );
      return undefined;
    }
    if (found === 'big-endian') {
      this.report(
        'bolt.big-endian',
        'the file was written on a big-endian host (s390x): it can be read only there',
      );
      return undefined;
    }
    for (const [page, meta] of found.metas.entries()) {
      const offset = page * found.pageSize;
      if (meta === undefined) this.report('bolt.meta', `meta page ${page} is damaged`, page, offset);
      else if (!isMetaPage(head, offset, page)) {
        this.report('bolt.meta', `meta page ${page} has a wrong header`, page, offset);
      }
    }
    const meta = chooseMeta(found.metas);
    const fault = meta === undefined ? undefined : metaFault(meta);
    if (fault === undefined) return meta;
    this.report('bolt.meta', `the meta page that counts: ${fault}`);
    return undefined;
  }

  private checkSize({ trailer }: DatabaseDigest): void {
    const { size, meta } = this;
    const { expectedSize } = this.options;
    if (expectedSize !== undefined && size !== expectedSize) {
      this.report('file.size', `${size} bytes came, ${expectedSize} were announced`);
    }
    if (trailer === 'mismatch') {
      this.report('file.trailer-mismatch', 'the SHA-256 at the end is not that of the bytes before it');
    } else if (trailer === 'missing' && this.options.trailer === 'required') {
      this.report(
        'file.trailer-missing',
        'the file does not end in a SHA-256: it is cut off, or no snapshot',
      );
    }
    if (meta === undefined) return;
    const content = hasTrailer(size) ? size - TRAILER_SIZE : size;
    const database = meta.pageCount * meta.pageSize;
    if (content < database) {
      this.report('file.truncated', `the database is ${database} bytes long, of which ${content} are there`);
    } else if (content > database && this.options.trailer === 'required') {
      this.report('file.size', `${content - database} bytes follow the database of ${database} bytes`);
    }
  }

  /** Returns the pages that the freelist takes itself. */
  private checkFreelist(page: number, meta: Meta, pages: PageSummaries): number {
    const isKept = page < pages.index.length && pages.index.kindOf(page) === PageKind.freelist;
    const bytes = isKept ? pages.plainPage(page).bytes : undefined;
    checkFreelist(page, bytes, pages.index, meta, this.problems);
    return isKept ? pages.index.overflowOf(page) + 1 : 0;
  }

  private report(code: string, message: string, page?: number, offset?: number): void {
    this.problems.add({
      code,
      message,
      ...(page === undefined ? {} : { page }),
      ...(offset === undefined ? {} : { offset }),
    });
  }
}

function isMetaPage(head: Buffer, offset: number, page: number): boolean {
  const { id, flags } = readPageHeader(head, offset);
  return id === page && flags === META_PAGE;
}
