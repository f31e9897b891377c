import { constants, type Stats } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { diskError } from '../../etcd/durable-file.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { NodeFile } from '../../repository/node-files/node-files.ts';

/** What is where a file has to be. */
export type Found =
  | { readonly kind: 'nothing' | 'same' }
  /** May be replaced, with consent; `how` for people. */
  | { readonly kind: 'differs'; readonly how: string };

export interface LookOptions {
  /** False where whoever runs this can't give files to others. */
  readonly owners: boolean;
}

/** Rejects with `attachments.in-the-way` where nothing may be put, and with `disk.*`. */
export async function lookAtTarget(file: NodeFile, target: string, options: LookOptions): Promise<Found> {
  const there = await lstatOf(target);
  if (there === undefined) return { kind: 'nothing' };
  if (file.kind === 'folder') {
    // Its mode is whoever made it's own business.
    if (there.isDirectory()) return { kind: 'same' };
    throw inTheWay(target, 'is no folder');
  }
  if (!there.isFile() && !there.isSymbolicLink()) throw inTheWay(target, 'is no file');
  if (file.kind === 'link') {
    if (!there.isSymbolicLink()) return { kind: 'differs', how: 'a file, not a link' };
    return (await readlink(target)) === file.target ? SAME : { kind: 'differs', how: 'leads elsewhere' };
  }
  if (!there.isFile()) return { kind: 'differs', how: 'a link, not a file' };
  if (there.size !== file.bytes.length || !(await contentOf(target, file.bytes.length)).equals(file.bytes))
    return { kind: 'differs', how: 'content' };
  if ((there.mode & 0o7777) !== file.mode) return { kind: 'differs', how: 'mode' };
  if (options.owners && (there.uid !== file.uid || there.gid !== file.gid))
    return { kind: 'differs', how: 'owner' };
  return SAME;
}

const SAME: Found = { kind: 'same' };

/**
 * Where a node's path lies below `root`, and the folders on the way that are missing, topmost first. No link is
 * followed: it could lead out of the root. Rejects with `attachments.in-the-way`, `disk.*`.
 */
export async function wayTo(root: string, path: string): Promise<{ target: string; missing: string[] }> {
  const parts = path.split('/').slice(1, -1);
  const missing: string[] = [];
  let at = root;
  for (const part of parts) {
    at = posix.join(at, part);
    const there = missing.length > 0 ? undefined : await lstatOf(at);
    if (there === undefined) missing.push(at);
    else if (!there.isDirectory())
      throw inTheWay(at, there.isSymbolicLink() ? 'is a link, which is not followed' : 'is no folder');
  }
  return { target: posix.join(root, path), missing };
}

async function lstatOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw diskError(error, `looking at ${path}`);
  }
}

/** Up to one byte more than expected. */
async function contentOf(path: string, size: number): Promise<Buffer> {
  try {
    await using handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size + 1), 0, size + 1, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw diskError(error, `reading ${path}`);
  }
}

function inTheWay(path: string, how: string): GuardianError {
  return new GuardianError('attachments.in-the-way', `nothing can be put in place: ${path} ${how}`, {
    hint: 'Look what it is, and move it away; nothing was changed.',
  });
}
