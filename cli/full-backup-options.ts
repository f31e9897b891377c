import { type Command, Option } from 'commander';
import type { FullBackupRequest } from '../lib/backup/full-backup.ts';
import type { ProofPolicy } from '../lib/backup/proof-policy.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { collect, parseByteCount, parseCount, parseDuration } from './option-values.ts';
import type { RepositoryOptions } from './repository-options.ts';
import { userName } from './user-name.ts';

export interface FullBackupOptions {
  readonly proof: 'auto' | 'required' | 'off';
  readonly proofBudget?: string;
  readonly proofWait: string;
  readonly streamLimit: string;
  readonly attempts: string;
  readonly retain?: string;
  readonly label: readonly string[];
}

/** Adds the options that say how full backups are made. */
export function withFullBackupOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--proof <policy>',
        'compare with a live member: auto says what could not be proven, required fails',
      )
        .choices(['auto', 'required', 'off'])
        .default('auto'),
    )
    .option(
      '--proof-budget <bytes>',
      'database size up to which a member is asked to hash (it holds writes meanwhile); default: 8Gi, 4Gi of the leader',
    )
    .option(
      '--proof-wait <duration>',
      'wait so long for the next compaction, whose hash members keep for nothing; Kubernetes compacts every 5m',
      '0s',
    )
    .option('--stream-limit <duration>', 'how long etcd may be kept streaming', '30m')
    .option('--attempts <n>', 'tries, each with the best member that has not failed', '3')
    .option('--retain <duration>', 'ask the store to keep the objects undeletable for so long (Object Lock)')
    .option('--new-keys', "the store's backups of this cluster have other keys, or are encrypted: begin anew")
    .option('--label <name=value>', 'a mark of your own in the manifest; may be repeated', collect, []);
}

/** What the options ask for, of a backup that begins now. */
export function fullBackupRequest(
  options: FullBackupOptions & Pick<RepositoryOptions, 'cluster'>,
  now: Date,
): FullBackupRequest {
  return {
    cluster: options.cluster,
    proof: proofPolicy(options),
    streamLimitMs: parseDuration(options.streamLimit, '--stream-limit'),
    attempts: parseCount(options.attempts, '--attempts'),
    retainUntil: retainUntil(options, now),
    requester: { username: userName() },
    labels: labels(options.label),
  };
}

export function retainUntil({ retain }: Pick<FullBackupOptions, 'retain'>, now: Date): Date | undefined {
  return retain === undefined ? undefined : new Date(now.getTime() + parseDuration(retain, '--retain'));
}

function proofPolicy({ proof, proofBudget, proofWait }: FullBackupOptions): ProofPolicy {
  const budgetBytes = proofBudget === undefined ? undefined : parseByteCount(proofBudget, '--proof-budget');
  return { mode: proof, budgetBytes, waitMs: parseDuration(proofWait, '--proof-wait') };
}

function labels(pairs: readonly string[]): Record<string, string> | undefined {
  if (pairs.length === 0) return undefined;
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals <= 0) throw new GuardianError('usage.label', `--label "${pair}" is not NAME=VALUE`);
      const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
      if (name.length <= LONGEST_NAME && value.length <= LONGEST_VALUE) return [name, value];
      throw new GuardianError(
        'usage.label',
        `--label ${name.slice(0, 40)}…: a name has up to ${LONGEST_NAME} characters, a value up to ${LONGEST_VALUE}`,
      );
    }),
  );
}

/** What a manifest holds. */
const LONGEST_NAME = 256;
const LONGEST_VALUE = 1024;
