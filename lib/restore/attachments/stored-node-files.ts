import { GuardianError } from '../../guardian-error.ts';
import type { StoredContent } from '../../repository/manifest.ts';
import { nodeOfAttachment } from '../../repository/node-files/attachment-of-node.ts';
import { NODE_FILES_LIMITS, type NodeFiles } from '../../repository/node-files/node-files.ts';
import { hostileNodeFiles } from '../../repository/node-files/node-files-errors.ts';
import { readNodeFiles } from '../../repository/node-files/read-node-files.ts';
import type { CallOptions, Repository, SoundBackup } from '../../repository/repository.ts';

/** Files of one node that a backup has; what its manifest tells without a key. */
export interface StoredNodeFiles {
  readonly node: string;
  /** The attachment's name, as `Repository.readAttachment` takes it. */
  readonly attachment: string;
  readonly content: StoredContent;
}

/** The nodes of which a backup has files, in the manifest's order. */
export function storedNodeFiles({ manifest }: Pick<SoundBackup, 'manifest'>): StoredNodeFiles[] {
  return manifest.attachments.flatMap((content) => {
    const node = nodeOfAttachment(content);
    return node === undefined ? [] : [{ node, attachment: `node.${node}.tar`, content }];
  });
}

/**
 * Reads the files of a node, or of the only one that there is. Rejects with `attachments.none`, `attachments.node`
 * (which one?), what `readNodeFiles` and `Repository.readAttachment` do.
 */
export async function readStoredNodeFiles(
  repository: Pick<Repository, 'readAttachment'>,
  backup: SoundBackup,
  node: string | undefined,
  options: CallOptions = {},
): Promise<NodeFiles> {
  const { attachment, content } = choose(backup, node);
  if (content.plainSize > NODE_FILES_LIMITS.archiveBytes)
    throw hostileNodeFiles(`they are said to have ${content.plainSize} bytes`);
  return readNodeFiles(repository.readAttachment(backup, attachment, options));
}

function choose(backup: SoundBackup, node: string | undefined): StoredNodeFiles {
  const stored = storedNodeFiles(backup);
  const [first, second] = stored;
  if (first === undefined) throw none(backup);
  const nodes = stored.map((one) => one.node).join(', ');
  if (node === undefined) {
    if (second === undefined) return first;
    throw new GuardianError('attachments.node', `backup ${backup.id} has files of several nodes`, {
      hint: `Say of which: ${nodes}.`,
    });
  }
  const found = stored.find((one) => one.node === node);
  if (found !== undefined) return found;
  throw new GuardianError('attachments.node', `backup ${backup.id} has no files of node ${node}`, {
    hint: `It has those of ${nodes}. Keys of the cluster are the same on all its nodes; certificates of a node are not.`,
  });
}

function none({ id, manifest }: SoundBackup): GuardianError {
  const why = manifest.attachmentsLeftOut;
  return new GuardianError(
    'attachments.none',
    `backup ${id} has no files of a node${why === undefined ? '' : `: ${why}`}`,
    {
      hint: 'Only bases that an agent made with attachments allowed have them: "etcdguardian backup list" shows which.',
    },
  );
}
