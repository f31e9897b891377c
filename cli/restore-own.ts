import { Buffer } from 'node:buffer';
import { type Command, Option } from 'commander';
import type { AgentClient } from '../lib/agent-api/agent-client.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError, hasCode, reasonOf } from '../lib/guardian-error.ts';
import { uidOfNamespace } from '../lib/keyspace/cluster-uid.ts';
import { valueEncoding } from '../lib/keyspace/value-encoding.ts';
import { connectNodes, type NodeCaller } from '../lib/restore/cluster/connect-nodes.ts';
import { isAway } from '../lib/restore/cluster/insist.ts';
import type { NodeFacts } from '../lib/restore/cluster/node-facts.ts';
import { keysInFile } from '../lib/restore/own/keys-in-file.ts';
import { type KeyReader, type OwnObjects, readOwnObjects } from '../lib/restore/own/read-own-objects.ts';
import { count, counted } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import type { SecretsNow } from './restore-encryption.ts';

export interface OwnOptions {
  readonly keepOwn: boolean;
  readonly ownFrom?: string;
  readonly systemNamespace: string;
  readonly lease: string;
  readonly etcdPrefix: string;
}

/** Adds the options that say what of EtcdGuardian itself is put on top of restored data. */
export function withOwnOptions(command: Command): Command {
  return command
    .option(
      '--no-keep-own',
      'let the restored data say what EtcdGuardian itself has: its keys, rights, backups',
    )
    .addOption(
      new Option(
        '--own-from <file>',
        'keep EtcdGuardian as it is in this snapshot file, e.g. of "rescue", where no etcd serves',
      ).conflicts('keepOwn'),
    )
    .option('--system-namespace <name>', 'where EtcdGuardian is installed', 'etcd-guardian-system')
    .addOption(
      new Option('--lease <name>', 'the Lease of its control plane')
        .default('etcdguardian-controlplane')
        .hideHelp(),
    )
    .option('--etcd-prefix <prefix>', 'what API servers put before their keys', '/registry');
}

/** EtcdGuardian's own objects, as they are put on top of restored data, or why none are. */
export interface KeptOwn {
  readonly objects: OwnObjects;
  /** How many. */
  readonly kept: number;
  /** Where they are from; undefined where none are kept. */
  readonly from: string | undefined;
  /** Whose cluster this is: the backup's, unless its own data says otherwise. */
  readonly cluster: string;
  readonly secretsNow: SecretsNow;
  /** For people: what is kept, or what is not, why, and what to do. */
  readonly line: string;
}

/**
 * EtcdGuardian as it is now, so that a restore to a time before it was installed doesn't take it away, the agents' own
 * authority included. Read through the first agent whose etcd serves; else from one that has no quorum any more, or from
 * the file that was named. Where nothing can be read, none, and the line says so. Rejects with `agent.too-many-keys`, and with
 * `restore.unsound` for such a file.
 */
export async function keptOwn(
  options: OwnOptions,
  cluster: string,
  nodes: readonly NodeFacts[],
  caller: NodeCaller,
  { progress, signal }: { readonly progress: ProgressLine; readonly signal: AbortSignal },
): Promise<KeptOwn> {
  if (!options.keepOwn) return nothing(cluster, 'as you asked: it comes back as the restored data has it');
  if (options.ownFrom !== undefined) {
    const file = options.ownFrom;
    await requireSound(file, progress, signal);
    return await readFrom(keysInFile(file), file, '', options, cluster, signal);
  }
  const places = nodes.filter(({ description }) => description?.etcd !== undefined);
  using connected = connectNodes(places, caller);
  const { agents } = connected;
  const failures: string[] = [];
  // The highest revision first: where there is no quorum, it knows most.
  const byRevision = agents
    .map((agent, at) => ({ agent, revision: places[at]?.description?.etcd?.revision ?? 0n }))
    .sort((a, b) => (a.revision > b.revision ? -1 : 1))
    .map(({ agent }) => agent);
  const silent = new Set<AgentClient>();
  for (const serializable of [false, true])
    for (const agent of byRevision) {
      if (silent.has(agent)) continue;
      try {
        const stale = serializable ? ', which has no quorum, so that its newest changes may be missing' : '';
        return await readFrom(
          readerOf(agent, serializable),
          `the etcd of ${agent.node}`,
          stale,
          options,
          cluster,
          signal,
        );
      } catch (error) {
        signal.throwIfAborted();
        if (!mayBeElsewhere(error)) throw withWayOut(error);
        if (isSilent(error)) silent.add(agent);
        if (!serializable) failures.push(`${agent.node}: ${reasonOf(error)}`);
      }
    }
  return nothing(
    cluster,
    `as no etcd serves (${failures.join('; ') || 'no agent tells of one'}): it comes back as the restored data has it, and not at all where that is older than its installation; then install it again, with the saved Secrets. To keep it as it is: etcdguardian rescue --data-dir … --out FILE on a node, and --own-from FILE here`,
  );
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function readFrom(
  reader: KeyReader,
  from: string,
  but: string,
  { systemNamespace: namespace, etcdPrefix: prefix, lease }: OwnOptions,
  cluster: string,
  signal: AbortSignal,
): Promise<KeptOwn> {
  const [kubeSystem, authority] = [
    `${prefix}/namespaces/kube-system`,
    `${prefix}/secrets/${namespace}/etcdguardian-authority`,
  ];
  const seen = await reader.readKeys(asked([kubeSystem, authority]), { signal, timeoutMs: READ_MS });
  const valueOf = (name: string): Uint8Array | undefined =>
    seen.items.find(({ key }) => Buffer.from(key).toString() === name)?.value;
  const value = valueOf(kubeSystem);
  const here = value === undefined ? undefined : uidOfNamespace(value);
  if (here !== undefined && UUID.test(cluster) && here !== cluster)
    return nothing(
      here,
      `as the backup is of another cluster (${cluster}, and this is ${here}): install it again afterwards`,
    );
  const secret = valueOf(authority);
  if (secret === undefined)
    return nothing(
      cluster,
      `as ${from} knows of none in namespace ${namespace}. If it is installed in another one: --system-namespace`,
    );
  const definitions = `${prefix}/apiextensions.k8s.io/customresourcedefinitions/`;
  const { items } = await reader.readKeys(
    { prefixes: [Buffer.from(definitions)], keysOnly: true },
    { signal, timeoutMs: READ_MS },
  );
  const place = {
    ...{ prefix, namespace, lease, asks: undefined },
    customResources: items.map(({ key }) => {
      // Named PLURAL.GROUP.
      const [, plural = '', group = ''] =
        /^([^.]+)\.(.+)$/.exec(Buffer.from(key).toString().slice(definitions.length)) ?? [];
      return { group, plural };
    }),
  };
  const objects = await readOwnObjects(place, reader, signal);
  const at = seen.revision === 0n ? '' : ` at revision ${count(seen.revision)}`;
  const kept = objects.grafts?.length ?? 0;
  return {
    ...{ objects, kept, from, cluster, secretsNow: secretsAs(secret) },
    line: `EtcdGuardian itself is kept as it is in ${from}${at}${but}: ${counted(kept, 'object')}, those of namespace ${namespace} among them`,
  };
}

const READ_MS = 60_000;

function secretsAs(value: Uint8Array): SecretsNow {
  const found = valueEncoding(Buffer.from(value));
  if (found.kind === 'unknown') return undefined;
  if (found.kind !== 'encrypted') return 'plain';
  return { provider: found.encryption.scheme, key: found.encryption.keyName };
}

function asked(keys: readonly string[]): { readonly keys: Buffer<ArrayBuffer>[] } {
  return { keys: keys.map((key) => Buffer.from(key)) };
}

function readerOf(agent: AgentClient, serializable: boolean): KeyReader {
  return { readKeys: (request, options) => agent.readKeys({ ...request, serializable }, options) };
}

function nothing(cluster: string, why: string): KeptOwn {
  return {
    ...{ objects: { grafts: [], graftPrefixes: [] }, kept: 0, from: undefined, cluster },
    secretsNow: undefined,
    line: `EtcdGuardian itself is NOT kept, ${why}`,
  };
}

/** Its etcd doesn't serve, or its agent is gone: another one may do. */
export function mayBeElsewhere(error: unknown): boolean {
  if (isAway(error)) return true;
  return error instanceof GuardianError && (error.code.startsWith('etcd.') || NO_ETCD.has(error.code));
}

/** Nothing answers there, whatever it is asked. */
function isSilent(error: unknown): boolean {
  return error instanceof GuardianError && (error.code.startsWith('agent.') || SILENT.has(error.code));
}

const SILENT: ReadonlySet<string> = new Set([
  ...['etcd.connect-timeout', 'etcd.dns', 'etcd.refused', 'etcd.unreachable'],
]);

const NO_ETCD: ReadonlySet<string> = new Set(['agent.no-etcd', 'agent.etcd-config']);

function withWayOut(error: unknown): unknown {
  if (!hasCode(error, 'agent.too-many-keys')) return error;
  return new GuardianError(error.code, error.message, {
    hint: 'Remove objects of EtcdGuardian that nobody needs, or restore without keeping it: --no-keep-own.',
    cause: error,
  });
}

/** What is put on top must be what it was. */
async function requireSound(file: string, progress: ProgressLine, signal: AbortSignal): Promise<void> {
  const { sound, problems } = await verifySnapshotFile(file, {
    ...{ trailer: 'optional', signal },
    onProgress: (done, total) => {
      progress.update({ label: 'verifying what is kept', done, total });
    },
  });
  if (sound) return;
  throw new GuardianError('restore.unsound', `${file} is damaged: ${problems[0]?.message ?? 'unsound'}`, {
    hint: 'Rescue another member, or restore without it: --no-keep-own.',
  });
}
