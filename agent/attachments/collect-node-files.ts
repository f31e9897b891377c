import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { reasonOf } from '../../lib/guardian-error.ts';
import { linkTarget } from '../../lib/repository/node-files/check-node-files.ts';
import {
  isPlainPath,
  isWithin,
  type LeftOut,
  NODE_FILES_LIMITS,
  type NodeFile,
  type NodeFileFacts,
} from '../../lib/repository/node-files/node-files.ts';

export interface Collected {
  readonly roots: readonly string[];
  readonly files: readonly NodeFile[];
  readonly leftOut: readonly LeftOut[];
}

export interface CollectLimits {
  readonly entries: number;
  readonly fileBytes: number;
  readonly totalBytes: number;
}

/**
 * Reads files and folders of this node, within limits. What is neither file, folder nor link is left out, and so is what
 * can't be read or is too much; links that lead elsewhere are followed when they lead to a file, and its content stands
 * in their place. Never rejects for what it finds. When something changed while it was read, e.g. because certificates
 * are being renewed, it is all read again.
 */
export async function collectNodeFiles(
  asked: readonly string[],
  limits: CollectLimits = NODE_FILES_LIMITS,
  signal?: AbortSignal,
): Promise<Collected> {
  for (let attempt = 1; ; attempt++) {
    const collection = new Collection(limits, signal);
    const collected = await collection.run(asked);
    const changed = await collection.changed();
    if (changed === undefined) return collected;
    if (attempt === ATTEMPTS)
      return {
        ...collected,
        leftOut: [...collected.leftOut, { path: changed, reason: 'it keeps changing' }],
      };
  }
}

const ATTEMPTS = 3;

class Collection {
  readonly #limits: CollectLimits;
  readonly #signal: AbortSignal | undefined;
  readonly #files: NodeFile[] = [];
  readonly #leftOut: LeftOut[] = [];
  readonly #links: (NodeFileFacts & { readonly target: string })[] = [];
  /** What was read from where, to see whether it is still that. */
  readonly #read: { readonly path: string; readonly facts: Stats }[] = [];
  #bytes = 0;

  constructor(limits: CollectLimits, signal: AbortSignal | undefined) {
    this.#limits = limits;
    this.#signal = signal;
  }

  async run(asked: readonly string[]): Promise<Collected> {
    const plain = [...new Set(asked.map((path) => posix.resolve(path)))].filter(isPlainPath);
    const roots = plain.filter((path) => !plain.some((other) => other !== path && isWithin(path, other)));
    for (const root of roots) await this.#take(root, true);
    const taken = new Set([...this.#files, ...this.#links].map(({ path }) => path));
    for (const link of this.#links) await this.#settleLink(link, taken);
    return { roots, files: this.#files, leftOut: this.#leftOut };
  }

  /** The first file that isn't any more what was read. */
  async changed(): Promise<string | undefined> {
    for (const { path, facts } of this.#read) {
      const now = await stat(path).catch(() => undefined);
      if (now?.ino !== facts.ino || now.mtimeMs !== facts.mtimeMs || now.size !== facts.size) return path;
    }
    return undefined;
  }

  async #take(path: string, isRoot: boolean): Promise<void> {
    this.#signal?.throwIfAborted();
    if (!isPlainPath(path)) {
      this.#leave(path, 'its name is too long');
      return;
    }
    if (this.#files.length + this.#links.length >= this.#limits.entries) {
      this.#leave(path, `there are more than ${this.#limits.entries} files`);
      return;
    }
    try {
      // What was asked for may be a link itself: it was meant.
      const found = isRoot ? await stat(path) : await lstat(path);
      if (found.isDirectory()) {
        await this.#takeFolder(path, found);
        return;
      }
      if (found.isFile()) {
        await this.#takeFile(path, path, found);
        return;
      }
      if (found.isSymbolicLink()) this.#links.push({ ...factsOf(path, found), target: await readlink(path) });
      else this.#leave(path, 'it is neither file nor folder');
    } catch (error) {
      this.#signal?.throwIfAborted();
      this.#leave(path, reasonOf(error));
    }
  }

  async #takeFolder(path: string, found: Stats): Promise<void> {
    const names = await readdir(path);
    this.#files.push({ ...factsOf(path, found), kind: 'folder' });
    const isTemporary = (name: string): boolean =>
      name.startsWith('.etcdguardian') || /^\..*\.etcdguardian-(?:new|old)$/.test(name) || name === 'tmp';
    // What matters most comes before any limit is reached. `tmp` is where kubeadm puts whole databases.
    const rank = (name: string): number => (IMPORTANT.has(name) ? 0 : 1);
    const ordered = names
      .filter((name) => !isTemporary(name))
      .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    for (const name of ordered) await this.#take(posix.join(path, name), false);
  }

  async #takeFile(path: string, from: string, { size }: Stats): Promise<void> {
    const { fileBytes, totalBytes } = this.#limits;
    if (size > fileBytes) {
      this.#leave(path, `it has more than ${fileBytes} bytes`);
      return;
    }
    if (this.#bytes + size > totalBytes) {
      this.#leave(path, `the files have more than ${totalBytes} bytes together`);
      return;
    }
    await using handle = await open(from, READ);
    const facts = await handle.stat();
    if (!facts.isFile()) {
      this.#leave(path, 'it is no file any more');
      return;
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size + 1), 0, size + 1, 0);
    this.#read.push({ path: from, facts });
    this.#bytes += Math.min(bytesRead, size);
    this.#files.push({
      ...{ ...factsOf(path, facts), kind: 'file' },
      bytes: buffer.subarray(0, Math.min(bytesRead, size)),
    });
  }

  /** Kept as a link where it leads to something that is here; else what it leads to is taken. */
  async #settleLink(
    link: NodeFileFacts & { readonly target: string },
    taken: ReadonlySet<string>,
  ): Promise<void> {
    const inside = linkTarget(link.path, link.target);
    if (inside !== undefined && taken.has(inside)) {
      this.#files.push({ ...link, kind: 'link' });
      return;
    }
    try {
      const real = await realpath(link.path);
      const found = await stat(real);
      if (found.isFile()) await this.#takeFile(link.path, real, found);
      else this.#leave(link.path, `it is a link to ${real}, which is no file`);
    } catch (error) {
      this.#signal?.throwIfAborted();
      this.#leave(link.path, `it is a link to ${link.target}: ${reasonOf(error)}`);
    }
  }

  #leave(path: string, reason: string): void {
    if (this.#leftOut.length < NODE_FILES_LIMITS.leftOut)
      this.#leftOut.push({ path: path.slice(0, 1024), reason: reason.slice(0, 300) });
  }
}

const IMPORTANT = new Set(['pki', 'manifests']);

/** Neither waits for a pipe's other end nor follows a link that took the file's place. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

function factsOf(path: string, { mode, uid, gid, mtimeMs }: Stats): NodeFileFacts {
  const modifiedAt = new Date(Math.floor(mtimeMs / 1000) * 1000);
  return { path, mode: mode & 0o777, uid, gid, modifiedAt };
}
