import { posix } from 'node:path';
import { isPlainPath, isWithin, type NodeFiles } from './node-files.ts';
import { hostileNodeFiles } from './node-files-errors.ts';

/**
 * Throws `attachments.hostile` unless the files hang together: each is a root or lies in a folder that came before it,
 * none comes twice, roots don't lie in each other, and links lead to other files of these.
 */
export function checkTogether({ roots, files }: Pick<NodeFiles, 'roots' | 'files'>): void {
  for (const root of roots)
    if (roots.filter((other) => isWithin(root, other)).length > 1)
      throw hostileNodeFiles(`${root} is said to be taken along twice`);
  const kinds = new Map<string, string>();
  for (const { path, kind } of files) {
    if (kinds.has(path)) throw hostileNodeFiles(`${path} comes twice`);
    if (!roots.includes(path) && kinds.get(posix.dirname(path)) !== 'folder')
      throw hostileNodeFiles(`${path} is in none of the folders that were taken along`);
    kinds.set(path, kind);
  }
  for (const file of files) {
    if (file.kind !== 'link') continue;
    const target = linkTarget(file.path, file.target);
    if (target === undefined || !kinds.has(target))
      throw hostileNodeFiles(`${file.path} is a link to ${JSON.stringify(file.target.slice(0, 200))}`);
  }
}

/** Where a link leads, by its text alone; undefined where that isn't relative to its folder, or not a plain path. */
export function linkTarget(path: string, target: string): string | undefined {
  if (target === '' || target.startsWith('/')) return undefined;
  const resolved = posix.join(posix.dirname(path), target);
  const plain = resolved.length > 1 && resolved.endsWith('/') ? resolved.slice(0, -1) : resolved;
  return isPlainPath(plain) ? plain : undefined;
}
