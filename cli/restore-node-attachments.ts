import { GuardianError } from '../lib/guardian-error.ts';
import { restoreNodeFiles } from '../lib/restore/attachments/restore-node-files.ts';
import { counted } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import type { RestoreInput } from './restore-input.ts';
import type { NodeOptions } from './restore-node-options.ts';
import type { Session } from './session.ts';

/**
 * Puts keys, certificates and manifests of the node in their places, as on new hardware; without `--yes` it is only told.
 * What is there and differs is never replaced here. A kubelet that runs starts an empty etcd then, which is stopped and
 * put aside like any other.
 */
export async function layOutAttachments(
  { terminal, clock }: Session,
  options: NodeOptions,
  { recording }: RestoreInput,
  progress: ProgressLine,
): Promise<void> {
  if (recording === undefined)
    throw new GuardianError('usage.attachments', '--with-attachments needs a backup in a store', {
      hint: 'a snapshot file has no attachments: leave --snapshot out',
    });
  const { repository, backup } = recording;
  const { added } = await restoreNodeFiles(
    {
      ...{ backup, node: options.attachmentsOf, root: '/', overwrite: false },
      dryRun: options.yes !== true,
    },
    { repository, clock, signal: terminal.signal },
  );
  progress.say(
    `attachments: ${counted(added.length, 'file')} ${options.yes === true ? 'put in place' : 'would be put in place'}`,
  );
}
