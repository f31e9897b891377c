import type { Clock } from '../../clock.ts';
import type { NodeFile, NodeFiles } from '../../repository/node-files/node-files.ts';
import { isWithin } from '../../repository/node-files/node-files.ts';
import type { CallOptions, Repository, SoundBackup } from '../../repository/repository.ts';
import { type LaidOut, layOut } from './lay-out.ts';
import { readStoredNodeFiles } from './stored-node-files.ts';

export interface RestoreNodeFilesRequest {
  readonly backup: SoundBackup;
  /** Whose files; undefined: of the only node that the backup has files of. */
  readonly node?: string | undefined;
  /** Below which they are put: `/`, or where the new disk is mounted. Must be there. */
  readonly root: string;
  /** What is there and differs may be replaced; it is kept aside. */
  readonly overwrite: boolean;
  /** Only tell. What differs isn't an error then. */
  readonly dryRun?: boolean | undefined;
  /**
   * Static manifests make a running kubelet start what they say at once: `without` them first, and `only` them when
   * etcd's data is in its place. Default: all, manifests last.
   */
  readonly manifests?: 'without' | 'only' | undefined;
}

export interface RestoreNodeFilesTools extends CallOptions {
  readonly repository: Pick<Repository, 'readAttachment'>;
  readonly clock: Clock;
}

export interface RestoredNodeFiles extends LaidOut {
  readonly files: NodeFiles;
}

/**
 * Puts the files of a node that a backup took along in their places, with modes, owners and times: all of them, or on
 * any error none. Repeating it after a crash goes on.
 *
 * Rejects with `attachments.none`, `attachments.node`, `attachments.root`, `attachments.differs` (tells which; nothing
 * was changed), `attachments.in-the-way` (a folder or something special stands where a file has to be, or a link on the
 * way there), `attachments.hostile`, `attachments.damaged`, `attachments.format`, `disk.*`, and with the errors of
 * store and encryption.
 */
export async function restoreNodeFiles(
  request: RestoreNodeFilesRequest,
  { repository, clock, signal }: RestoreNodeFilesTools,
): Promise<RestoredNodeFiles> {
  const { backup, node, root, overwrite, dryRun = false, manifests } = request;
  const files = await readStoredNodeFiles(repository, backup, node, { signal });
  const wanted = inOrder(files, manifests);
  const laidOut = await layOut(wanted, { root, overwrite, dryRun, now: clock(), signal });
  return { ...laidOut, files };
}

/** Folders keep their place before what they hold; static manifests come last. */
function inOrder(
  { files, manifests }: NodeFiles,
  part: RestoreNodeFilesRequest['manifests'],
): readonly NodeFile[] {
  const isManifest = ({ path, kind }: NodeFile): boolean => kind !== 'folder' && isWithin(path, manifests);
  const folders = files.filter(({ kind }) => kind === 'folder');
  const others = files.filter((file) => file.kind !== 'folder' && !isManifest(file));
  const starting = files.filter(isManifest);
  if (part === 'without') return [...folders, ...others];
  if (part === 'only') return [...folders.filter(({ path }) => isWithin(path, manifests)), ...starting];
  return [...folders, ...others, ...starting];
}
