import { createHash } from 'node:crypto';
import type { StoredContent } from '../manifest.ts';

/** The name of the attachment with a node's files. */
export function attachmentOfNode(node: string): string {
  return `${PREFIX}${PLAIN_NODE.test(node) ? node : hashed(node)}${SUFFIX}`;
}

/** The node whose files an attachment holds, as its name has it; undefined for attachments of another kind. */
export function nodeOfAttachment({ name }: Pick<StoredContent, 'name'>): string | undefined {
  return IN_CHAIN.exec(name)?.[1];
}

const PREFIX = 'node.';
const SUFFIX = '.tar';

/** Any name that Kubernetes gives a node, up to what an attachment's name may have. */
const PLAIN_NODE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,111}$/;
const IN_CHAIN = /\/attachments\/node\.([A-Za-z0-9][A-Za-z0-9._-]{0,111})\.tar\.zst(?:\.sealed)?$/;

function hashed(node: string): string {
  return `sha256-${createHash('sha256').update(node).digest('hex')}`;
}
