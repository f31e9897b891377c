import { posix } from 'node:path';
import type { AttachmentSource } from '../../lib/backup/store-attachments.ts';
import type { Clock } from '../../lib/clock.ts';
import { TOOL } from '../../lib/program-version.ts';
import { attachmentOfNode } from '../../lib/repository/node-files/attachment-of-node.ts';
import type { LeftOut, NodeFiles } from '../../lib/repository/node-files/node-files.ts';
import { writeNodeFiles } from '../../lib/repository/node-files/write-node-files.ts';
import type { AgentSettings } from '../settings.ts';
import { collectNodeFiles } from './collect-node-files.ts';
import { pointedFiles, type PointingSettings } from './pointed-files.ts';

export type AttachmentSettings = PointingSettings &
  Pick<AgentSettings, 'node' | 'attachments' | 'attachmentPaths'>;

/** What bases made here take along: undefined unless the settings allow it. */
export function nodeAttachments(settings: AttachmentSettings, clock: Clock): AttachmentSource | undefined {
  if (!settings.attachments) return undefined;
  const { node, manifestsDir, attachmentPaths } = settings;
  return async (signal) => {
    const asked = [...attachmentPaths, ...(await pointedFiles(settings))];
    const collected = await collectNodeFiles(asked, undefined, signal);
    if (collected.files.length === 0) return { attachments: [], leftOut: leftOutText(collected.leftOut) };
    const files: NodeFiles = {
      ...{ ...collected, node, tool: TOOL, manifests: posix.resolve(manifestsDir) },
      collectedAt: clock(),
    };
    return {
      attachments: [{ name: attachmentOfNode(node), plain: () => writeNodeFiles(files) }],
      leftOut: leftOutText(collected.leftOut),
    };
  };
}

/** In the manifest, which isn't encrypted: paths, and not many of them. */
function leftOutText(leftOut: readonly LeftOut[]): string | undefined {
  const [first] = leftOut;
  if (first === undefined) return undefined;
  const others = leftOut.length === 1 ? '' : `, and ${leftOut.length - 1} more`;
  return `${first.path}: ${first.reason}${others}`.slice(0, 900);
}
