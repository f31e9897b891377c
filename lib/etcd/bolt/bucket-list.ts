import { Buffer } from 'node:buffer';
import type { ProblemList } from '../problem-list.ts';
import { BUCKET_ELEMENT, BUCKET_HEADER_SIZE, LEAF_PAGE, PAGE_HEADER_SIZE, readU64 } from './page.ts';
import { plainLeafFault, type LeafElement } from './plain-pages.ts';

/** A bucket as the root of a file lists it. */
export type Bucket =
  | { readonly name: string; readonly rootPage: number }
  /** Its only leaf, as a page image without page number. */
  | { readonly name: string; readonly inlinePage: Buffer };

/** The bucket that an element of the root's leaves describes; undefined, and a problem, when it doesn't. */
export function readBucket(
  element: LeafElement,
  place: { readonly page: number; readonly offset: number },
  problems: ProblemList,
): Bucket | undefined {
  const name = element.key.toString('latin1');
  // A copy: the inline page's elements are then found from offset 0, as in any page.
  const inlinePage = Buffer.from(element.value.subarray(BUCKET_HEADER_SIZE));
  const fault = bucketFault(element, inlinePage);
  if (fault !== undefined) {
    problems.add({ code: 'bolt.bucket', message: `bucket ${name}: ${fault}`, ...place, key: name });
    return undefined;
  }
  const rootPage = readU64(element.value, 0);
  return rootPage === 0 ? { name, inlinePage } : { name, rootPage };
}

function bucketFault({ flags, value }: LeafElement, inlinePage: Buffer): string | undefined {
  if (flags !== BUCKET_ELEMENT) return 'is an entry, not a bucket';
  if (value.length < BUCKET_HEADER_SIZE) return `has a header of ${value.length} bytes`;
  if (readU64(value, 0) !== 0) {
    return inlinePage.length === 0 ? undefined : 'has both a root page and an inline page';
  }
  if (inlinePage.length < PAGE_HEADER_SIZE) return 'has neither a root page nor an inline page';
  if (inlinePage.readUInt16LE(8) !== LEAF_PAGE) return 'its inline page is not a leaf';
  const fault = plainLeafFault(inlinePage, 0, inlinePage.length);
  return fault === undefined ? undefined : `its inline page: ${fault}`;
}
