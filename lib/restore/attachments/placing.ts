import {
  chmod,
  chown,
  lchown,
  link,
  lutimes,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  symlink,
} from 'node:fs/promises';
import { posix } from 'node:path';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import type { NodeFile } from '../../repository/node-files/node-files.ts';

/** One file or link, and where it has to be. */
export interface Placement {
  readonly file: NodeFile;
  readonly target: string;
  /** As the node had it. */
  readonly path: string;
}

/**
 * Puts files in place: all of them beside their places first, durable; then each by one rename. When anything fails,
 * what was done is undone. Names with a dot before them are nothing to a kubelet.
 */
export class Placing {
  readonly #owners: boolean;
  /** To be made, topmost first; undefined facts: on the way, in none of the node's folders. */
  readonly #folders = new Map<string, NodeFile | undefined>();
  readonly #placements: Placement[] = [];
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor(owners: boolean) {
    this.#owners = owners;
  }

  /** In the order of these calls; `missing` are the folders on the way. */
  need(placement: Placement, missing: readonly string[]): void {
    this.#needOnTheWay(missing);
    this.#placements.push(placement);
  }

  needFolder(path: string, missing: readonly string[], facts: NodeFile): void {
    this.#needOnTheWay(missing);
    this.#folders.set(path, facts);
  }

  /** Rejects with `disk.*` or the signal's reason, after everything is as it was. */
  async place(signal?: AbortSignal): Promise<void> {
    try {
      for (const [path, facts] of this.#folders) await this.#makeFolder(path, facts);
      for (const placement of this.#placements) {
        signal?.throwIfAborted();
        await this.#stage(placement);
      }
      for (const placement of this.#placements) await this.#swap(placement);
      await this.#finishFolders();
    } catch (error) {
      for (const undo of this.#undo.reverse()) await undo().catch(() => undefined);
      throw error;
    }
    for (const { target } of this.#placements) await rm(oldName(target), { force: true });
  }

  #needOnTheWay(missing: readonly string[]): void {
    for (const path of missing) if (!this.#folders.has(path)) this.#folders.set(path, undefined);
  }

  async #makeFolder(path: string, facts: NodeFile | undefined): Promise<void> {
    try {
      await mkdir(path, facts === undefined ? 0o755 : 0o700);
    } catch (error) {
      throw diskError(error, `making ${path}`);
    }
    this.#undo.push(() => rmdir(path));
  }

  async #stage({ file, target }: Placement): Promise<void> {
    const staged = newName(target);
    try {
      // Left by a run that was killed.
      await rm(staged, { force: true });
      this.#undo.push(() => rm(staged, { force: true }));
      if (file.kind === 'link') {
        await symlink(file.target, staged);
        if (this.#owners) await lchown(staged, file.uid, file.gid);
        await lutimes(staged, file.modifiedAt, file.modifiedAt);
        return;
      }
      await using handle = await open(staged, 'wx', 0o600);
      if (file.kind === 'file') await handle.writeFile(file.bytes);
      if (this.#owners) await handle.chown(file.uid, file.gid);
      await handle.chmod(file.mode);
      await handle.utimes(file.modifiedAt, file.modifiedAt);
      await handle.sync();
    } catch (error) {
      throw diskError(error, `writing ${staged}`);
    }
  }

  /** What was there stays under another name until all is done. */
  async #swap({ target }: Placement): Promise<void> {
    const old = oldName(target);
    try {
      await rm(old, { force: true });
      const hadOld = await link(target, old).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
          throw error;
        },
      );
      this.#undo.push(() => (hadOld ? rename(old, target) : rm(target, { force: true })));
      await rename(newName(target), target);
    } catch (error) {
      throw diskError(error, `putting ${target} in place`);
    }
  }

  /** Deepest first: making something in a folder changes its time. */
  async #finishFolders(): Promise<void> {
    const touched = new Set(this.#placements.map(({ target }) => posix.dirname(target)));
    for (const [path, facts] of [...this.#folders].reverse()) {
      touched.add(posix.dirname(path));
      if (facts === undefined) continue;
      try {
        if (this.#owners) await chown(path, facts.uid, facts.gid);
        await chmod(path, facts.mode);
        await lutimes(path, facts.modifiedAt, facts.modifiedAt);
      } catch (error) {
        throw diskError(error, `setting mode and owner of ${path}`);
      }
      touched.add(path);
    }
    for (const path of touched) await syncFolder(path);
  }
}

function newName(target: string): string {
  return posix.join(posix.dirname(target), `.${posix.basename(target)}.etcdguardian-new`);
}

function oldName(target: string): string {
  return posix.join(posix.dirname(target), `.${posix.basename(target)}.etcdguardian-old`);
}
