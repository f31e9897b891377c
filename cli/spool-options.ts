import type { Command } from 'commander';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { ElasticBufferSettings } from '../lib/backup/elastic-buffer.ts';
import { openEphemeralFile } from '../lib/encryption/ephemeral-file.ts';
import { reasonOf } from '../lib/guardian-error.ts';
import { parseByteCount } from './option-values.ts';
import type { ProgressLine } from './progress-line.ts';

export interface SpoolOptions {
  readonly spoolDir?: string;
  readonly spoolMemory: string;
  readonly spoolDisk: string;
}

/** Adds the options of the buffer that keeps etcd's stream going while the store is slow. */
export function withSpoolOptions(command: Command): Command {
  return command
    .option('--spool-memory <bytes>', 'held in memory while the store is slower than etcd', '16Mi')
    .option('--spool-disk <bytes>', 'held on disk beyond that, encrypted; then etcd has to wait', '20Gi')
    .option(
      '--spool-dir <dir>',
      'where (default: $TMPDIR or /tmp if that is a disk and not memory, else /var/tmp)',
    );
}

export async function spoolSettings(
  options: SpoolOptions,
  progress: Pick<ProgressLine, 'say'>,
): Promise<ElasticBufferSettings> {
  const folder = await spoolFolder(options);
  return {
    memoryBytes: parseByteCount(options.spoolMemory, '--spool-memory'),
    spillBytes: parseByteCount(options.spoolDisk, '--spool-disk'),
    spillFileBytes: 256 * 1024 * 1024,
    openSpill: () => openEphemeralFile(folder),
    onSpillFull: (reason) => {
      progress.say(
        `warning: no more spool on disk in ${folder} (${reasonOf(reason)}); etcd now waits for the store`,
      );
    },
  };
}

/** Where the options want what doesn't fit into memory. */
export async function spoolFolder({ spoolDir }: Pick<SpoolOptions, 'spoolDir'>): Promise<string> {
  return spoolDir ?? (await diskFolder());
}

/** The first folder for temporary files that isn't memory; where all are, the system's. */
export async function diskFolder(candidates: readonly string[] = [tmpdir(), '/var/tmp']): Promise<string> {
  for (const folder of candidates) {
    if (await isOnDisk(folder)) return folder;
  }
  return tmpdir();
}

async function isOnDisk(folder: string): Promise<boolean> {
  try {
    return !IN_MEMORY.has((await statfs(folder)).type);
  } catch {
    return false;
  }
}

/** Linux's magic numbers of tmpfs and ramfs. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);
