import { type Command, Option } from 'commander';
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import path from 'node:path';
import { spoolingStore } from '../lib/backup/spooling-store.ts';
import { eitherOf } from '../lib/backup/task/task-keys.ts';
import type { KeySet } from '../lib/encryption/key-set.ts';
import type { SignatureVerifier } from '../lib/encryption/object-encryption.ts';
import { GuardianError, hasCode, reasonOf } from '../lib/guardian-error.ts';
import { checkFreshness, findStaleness, rememberBackup, seenClusters } from '../lib/repository/freshness.ts';
import { openRepository } from '../lib/repository/open-repository.ts';
import type { Repository, SoundBackup } from '../lib/repository/repository.ts';
import type { NetworkRule } from '../lib/storage/network-rule.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { openStore } from '../lib/storage/open-store.ts';
import { probePutIfAbsent } from '../lib/storage/put-if-absent-probe.ts';
import { storeIdentity } from '../lib/storage/store-identity.ts';
import { parseStoreUrl, type StoreSettings } from '../lib/storage/store-url.ts';
import { passphraseIn } from './passphrase-file.ts';
import type { ProgressLine } from './progress-line.ts';
import type { Session } from './session.ts';
import { spoolSettings, type SpoolOptions } from './spool-options.ts';
import type { Terminal } from './terminal.ts';
import { TOOL } from '../lib/program-version.ts';

export interface RepositoryOptions {
  readonly store?: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly s3Ca?: string;
  readonly s3VirtualHost?: boolean;
  readonly cluster?: string;
  readonly keyFile?: string;
  readonly keyPassphraseFile?: string;
  /** Of commands that write backups: also beside such as other keys open. */
  readonly newKeys?: boolean;
}

/** Adds the options that say where backups lie, whose they are, and which keys open them. */
export function withRepositoryOptions(command: Command): Command {
  return command
    .option('--store <url>', 's3://bucket/prefix or file:///dir (or $ETCDGUARDIAN_STORE)')
    .option(
      '--s3-endpoint <url>',
      'S3 server other than Amazon, e.g. https://minio:9000 (or $AWS_ENDPOINT_URL_S3)',
    )
    .option('--s3-region <region>', 'its region (or $AWS_REGION)')
    .option('--s3-ca <file>', 'CA that signed its certificate, PEM')
    .addOption(new Option('--s3-virtual-host', 'address buckets as bucket.endpoint').hideHelp())
    .option(
      '--cluster <name>',
      'the cluster; only needed where it has no namespace kube-system, or the store holds several',
    )
    .option(
      '--key-file <file>',
      'keys from "etcdguardian keys create", or a recovery file (or $ETCDGUARDIAN_KEY_FILE)',
    )
    .option('--key-passphrase-file <file>', 'file with the passphrase of a recovery file');
}

/** A repository as a command uses it. */
export interface OpenedRepository {
  readonly repository: Repository;
  /** The store that it is in. */
  readonly store: ObjectStore;
  readonly location: string;
  readonly keys: KeySet | undefined;
  /** Notes that this machine has seen a backup, so that a store which later lacks it is noticed. */
  remember(backup: SoundBackup): Promise<void>;
  /** Whether the store refuses a second writer of a name; tried on small objects of its own. */
  fencesWriters(): Promise<boolean>;
  /** Rejects with `repository.rolled-back` when the store lacks what this machine has seen in it. */
  checkFreshness(cluster: string, acceptOlder: boolean): Promise<void>;
  /** Says so when the store lacks what this machine has seen in it of these clusters, or of any. */
  warnIfOlder(clusters?: readonly string[]): Promise<void>;
}

/**
 * Opens the repository that the options name; with `spool`, its uploads run ahead of a slow store. What a person should
 * know meanwhile goes to `progress`.
 */
export async function openRepositoryWith(
  session: Session,
  options: RepositoryOptions,
  progress: Pick<ProgressLine, 'say'>,
  spool?: SpoolOptions,
): Promise<OpenedRepository> {
  const { terminal, clock } = session;
  const keys = await keysOf(options, terminal, progress);
  const storeAsked = storeSettings(options, terminal);
  const plainStore = await openStore(storeAsked, {
    clock,
    onRetry: (retry) => {
      progress.say(`warning: ${reasonOf(retry.error)}; trying again`);
    },
  });
  const store =
    spool === undefined ? plainStore : spoolingStore(plainStore, await spoolSettings(spool, progress));
  const repository = await openRepository(
    {
      store,
      encryption: keys?.encryption,
      signer: keys?.signer,
      verifier: eitherOf(keys?.verifier, await trustedSigners(terminal)),
      requiresSameKeys: options.newKeys !== true,
      clock,
      randomBytes,
      tool: TOOL,
    },
    { signal: terminal.signal },
  );
  const memory = { path: knownPointsPath(terminal.env), identity: storeIdentity(store.location, storeAsked) };
  const { signal } = terminal;
  return {
    repository,
    store: plainStore,
    location: store.location,
    keys,
    fencesWriters: () => probePutIfAbsent(plainStore, { signal: terminal.signal }),
    remember: (backup) => rememberBackup(repository, backup, memory),
    checkFreshness: async (cluster, acceptOlder) => {
      await checkFreshness(repository, cluster, { ...memory, acceptOlder, signal });
    },
    warnIfOlder: async (clusters) => {
      try {
        for (const cluster of clusters ?? (await seenClusters(repository, memory))) {
          const problem = await findStaleness(repository, cluster, { ...memory, signal });
          if (problem === undefined) continue;
          progress.say(
            `warning: ${problem.message}; a restore needs --allow-older, if you know why it is so`,
          );
        }
      } catch (error) {
        if (!hasCode(error, 'repository.known-points')) throw error;
        progress.say(`warning: ${error.message}; whether the store is older than it was is not known here`);
      }
    },
  };
}

/** Where this machine keeps what it knows of stores, as the XDG base directory specification has it. */
function knownPointsPath(env: Terminal['env']): string {
  const folder =
    env.ETCDGUARDIAN_STATE_DIR ??
    path.join(env.XDG_STATE_HOME ?? path.join(homedir(), '.local', 'state'), 'etcdguardian');
  return path.join(folder, 'known-points.json');
}

/** The cluster that the options name, or the only one in the store. */
export async function theCluster(
  repository: Repository,
  options: RepositoryOptions,
  terminal: Terminal,
): Promise<string> {
  if (options.cluster !== undefined) return options.cluster;
  const clusters = await repository.listClusters({ signal: terminal.signal });
  const [only] = clusters;
  if (only !== undefined && clusters.length === 1) return only;
  if (only === undefined) {
    throw new GuardianError('repository.not-found', `there are no backups in ${repository.location}`, {
      hint: 'check --store: bucket, prefix and endpoint',
    });
  }
  throw new GuardianError('usage.cluster', `${repository.location} holds backups of several clusters`, {
    hint: `say which with --cluster: ${clusters.slice(0, 10).join(', ')}`,
  });
}

/** How to reach the store that the options name. Throws `usage.store` and `store.url`. */
export function storeSettings(options: RepositoryOptions, terminal: Terminal): StoreSettings {
  const url = options.store ?? terminal.env.ETCDGUARDIAN_STORE;
  if (url === undefined || url === '') {
    throw new GuardianError('usage.store', 'no store given', {
      hint: 'name it with --store s3://bucket/prefix or --store file:///dir, or set $ETCDGUARDIAN_STORE',
    });
  }
  const settings = parseStoreUrl(url);
  if (settings.kind === 'local') return settings;
  return {
    ...settings,
    endpoint:
      options.s3Endpoint ??
      settings.endpoint ??
      terminal.env.AWS_ENDPOINT_URL_S3 ??
      terminal.env.AWS_ENDPOINT_URL,
    region: options.s3Region ?? settings.region ?? terminal.env.AWS_REGION,
    pathStyle: options.s3VirtualHost === true ? false : settings.pathStyle,
    ca: options.s3Ca === undefined ? settings.ca : { file: options.s3Ca },
    network: networkOf(terminal.env.ETCDGUARDIAN_STORE_HOSTS),
  };
}

/** Set, and be it to nothing: the endpoint was chosen by someone who may not choose any; see `NetworkRule`. */
function networkOf(hosts: string | undefined): NetworkRule | undefined {
  if (hosts === undefined) return undefined;
  return { publicOnly: true, allowed: hosts.split(',').filter((host) => host !== '') };
}

async function keysOf(
  options: RepositoryOptions,
  terminal: Terminal,
  progress: Pick<ProgressLine, 'say'>,
): Promise<KeySet | undefined> {
  const file = options.keyFile ?? terminal.env.ETCDGUARDIAN_KEY_FILE;
  if (file === undefined || file === '') return undefined;
  const passphrase = passphraseIn(options.keyPassphraseFile);
  // The encryption SDK takes time and memory that commands without keys needn't pay.
  const { loadKeys } = await import('../lib/encryption/load-keys.ts');
  // A mounted Secret belongs to the pod's group, which alone can be there.
  const permissions = terminal.env.ETCDGUARDIAN_KEY_PERMISSIONS === 'ignore' ? 'ignore' : 'refuse';
  const keys = await loadKeys({ file }, { passphrase, permissions });
  for (const warning of keys.description.warnings) progress.say(`warning: ${file}: ${warning}`);
  return keys;
}

/** Whose signatures count beside those of the keys: public keys in PEM, as ConfigMap etcdguardian-trust has them. */
async function trustedSigners({ env }: Terminal): Promise<SignatureVerifier | undefined> {
  const file = env.ETCDGUARDIAN_TRUSTED_SIGNERS;
  if (file === undefined || file === '') return undefined;
  const { loadKeys } = await import('../lib/encryption/load-keys.ts');
  return (await loadKeys({ file })).verifier;
}
