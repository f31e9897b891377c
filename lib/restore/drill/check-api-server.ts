import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { NeededKey } from '../../keyspace/keys-needed.ts';
import { askQueries } from './ask-queries.ts';
import { type DrillApiServerOptions, startDrillApiServer } from './drill-api-server.ts';
import type { DrillFolder } from './drill-folder.ts';
import type { Check, DrillReport } from './drill-report.ts';
import { listResources } from './list-resources.ts';
import type { Phase } from './phase-times.ts';
import type { Query } from './queries.ts';
import { findSecret, readSecret, type StoredSecret } from './read-secret.ts';

export interface CheckedApi {
  readonly checks: readonly Check[];
  readonly warnings: readonly string[];
  readonly listed: DrillReport['listed'];
}

export interface ApiServerCheck {
  readonly queries: readonly Query[];
  readonly etcd: EtcdClient;
  readonly signal: AbortSignal | undefined;
}

export interface ApiServerNews {
  /** What the data is encrypted with. */
  readonly needed: readonly NeededKey[];
  readonly begin: (phase: Phase) => void;
  readonly ready: () => void;
}

/**
 * Starts an API server where one is given, looks whether it reads one Secret and lists every resource type, and asks the
 * queries. Rejects with those of `startDrillApiServer`, with `restore.encryption-key` and
 * `drill.no-encryption-config`.
 */
export async function checkApiServer(
  server: Omit<DrillApiServerOptions, 'meanwhile' | 'signal'> | undefined,
  { queries, etcd, signal }: ApiServerCheck,
  folder: DrillFolder,
  { needed, begin, ready }: ApiServerNews,
): Promise<CheckedApi> {
  if (server === undefined) {
    const checks = await askQueries(queries, { etcd, signal });
    const warnings = needed.length === 0 ? [] : [unproven(needed)];
    return { checks, warnings, listed: undefined };
  }
  requireConfiguration(server.encryptionConfig, needed);
  const secret = await findSecret(etcd, signal);
  begin('api-server');
  await using api = await startDrillApiServer(
    {
      ...server,
      signal,
      meanwhile: async (client) => {
        // With the wrong keys it may never be ready: this tells why.
        if (secret === undefined) return;
        await readSecret(client, secret, signal).catch(onlyTheKey);
      },
    },
    folder,
  );
  ready();
  begin('checks');
  const checks: Check[] = [{ name: 'the API server is ready', passed: true, detail: '/readyz answers 200' }];
  if (secret !== undefined) {
    checks.push(secretCheck(secret, await readSecret(api.client, secret, signal)));
  }
  const { resources, elsewhere } = await listResources(api.client, signal);
  const failed = resources.filter(({ problem }) => problem !== undefined);
  checks.push({
    name: 'the API server lists every resource type',
    passed: failed.length === 0,
    detail:
      failed.length === 0
        ? `${resources.length} of them`
        : failed.map(({ resource, problem }) => `${resource}: ${problem ?? ''}`).join('; '),
  });
  const targets = { etcd, signal, api: { client: api.client, served: resources } };
  checks.push(...(await askQueries(queries, targets)));
  const warnings = elsewhere.map(
    (group) => `${group} is served by another server than kube-apiserver: its data is not in this etcd`,
  );
  const listed = resources.map(({ resource, objects, problem }) => ({ resource, objects, problem }));
  return { checks, warnings, listed };
}

function secretCheck({ namespace, name, key }: StoredSecret, problem: string | undefined): Check {
  const how = key === undefined ? 'stored in plain' : `encrypted with ${key}`;
  return {
    name: 'the API server reads a Secret',
    passed: problem === undefined,
    detail: `${namespace}/${name}, ${how}${problem === undefined ? '' : `, is not read: ${problem}`}`,
  };
}

/** What else goes wrong with a server that isn't ready yet may go away. */
function onlyTheKey(error: unknown): void {
  if (error instanceof GuardianError && error.code === 'restore.encryption-key') throw error;
}

function requireConfiguration(encryptionConfig: string | undefined, needed: readonly NeededKey[]): void {
  if (encryptionConfig !== undefined || needed.length === 0) return;
  throw new GuardianError(
    'drill.no-encryption-config',
    `values are encrypted at rest with ${keyNames(needed)}, and the API server of this drill has no EncryptionConfiguration`,
    {
      hint: "give the cluster's own file (--encryption-provider-config of its API servers): --encryption-config FILE, or of drills in the cluster drills.encryptionConfigSecret of the chart",
    },
  );
}

function unproven(needed: readonly NeededKey[]): string {
  return `values are encrypted at rest with ${keyNames(needed)}: only a drill with --kube-apiserver and --encryption-config shows that they can be read`;
}

function keyNames(needed: readonly NeededKey[]): string {
  return needed.map(({ provider, key }) => `${provider} key "${key}"`).join(', ');
}
