import { type Command } from 'commander';
import { tmpdir } from 'node:os';
import { type ElasticBufferSettings } from '../lib/backup/elastic-buffer.ts';
import { openEphemeralFile } from '../lib/encryption/ephemeral-file.ts';
import { parseByteCount } from './option-values.ts';
import { type Terminal } from './terminal.ts';

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
    .option('--spool-dir <dir>', "where (default: the system's folder for temporary files)");
}

export function spoolSettings(options: SpoolOptions, terminal: Terminal): ElasticBufferSettings {
  const folder = options.spoolDir ?? tmpdir();
  return {
    memoryBytes: parseByteCount(options.spoolMemory, '--spool-memory'),
    spillBytes: parseByteCount(options.spoolDisk, '--spool-disk'),
    spillFileBytes: 256 * 1024 * 1024,
    openSpill: () => openEphemeralFile(folder),
    onSpillFull: (reason) => {
      const why = reason instanceof Error ? reason.message : String(reason);
      terminal.stderr.write(
        `warning: no more spool on disk in ${folder} (${why}); etcd now waits for the store\n`,
      );
    },
  };
}
