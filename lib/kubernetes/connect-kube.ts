import { homedir } from 'node:os';
import { join } from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import { VERSION } from '../program-version.ts';
import type { Requester } from './api/etcd-backup-spec.ts';
import { type ApiCall, callApi, type CallerParts, openStream } from './api-call.ts';
import { createExchanger } from './http-exchange.ts';
import { type Headers, impersonationHeaders } from './impersonation-headers.ts';
import { inClusterAccess, isInCluster } from './in-cluster-access.ts';
import type { KubeAccess } from './kube-access.ts';
import type {
  KubeClient,
  KubeList,
  KubeListOptions,
  KubeObject,
  KubeReference,
  KubeResource,
} from './kube-client.ts';
import { kubeconfigAccess } from './kubeconfig-access.ts';
import { createRequestRate } from './request-rate.ts';
import { collectionPath, objectPath, queryText, resourceName } from './resource-path.ts';
import { watchEvents } from './watch-events.ts';

export interface ConnectKubeOptions {
  /** Paths as in KUBECONFIG. Default: KUBECONFIG, then the pod's service account, then `~/.kube/config`. */
  readonly kubeconfig?: string | undefined;
  /** Of the kubeconfig; default its current one. */
  readonly context?: string | undefined;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Which process this is, for the API server's logs, e.g. `controlplane`. */
  readonly component?: string;
  /** Requests per second, on average and after a quiet time; all of `as()` together. Default 50 and 100. */
  readonly perSecond?: number;
  readonly burst?: number;
  /** For one try of a call. Default 30 s. */
  readonly timeoutMs?: number;
  /** In bytes. Default 64 MiB. */
  readonly largestAnswer?: number;
  /** A watch that is silent for so long is taken for dead. API servers send a bookmark each minute. Default 150 s. */
  readonly silentMs?: number;
  readonly random?: () => number;
}

/** A client, and what belongs to whoever connected it. */
export interface KubeConnection extends KubeClient, Disposable {
  /** Of the kubeconfig's context, or of the pod. */
  readonly namespace: string | undefined;
  /**
   * The same API, but what changes something is sent only if `check` doesn't throw in the moment when it leaves. What it
   * throws, the call rejects with.
   */
  guardedBy(check: () => void): KubeClient;
}

/** Rejects with `kubernetes.credentials`, retryable where that may change by itself. Asks the server nothing yet. */
export async function connectKube(options: ConnectKubeOptions = {}): Promise<KubeConnection> {
  const access = await findAccess(options);
  const { component, perSecond = 50, burst = 100, timeoutMs = 30_000 } = options;
  const exchanger = createExchanger(access.server);
  const parts: CallerParts = {
    ...{ access, exchanger, timeoutMs },
    rate: createRequestRate({ perSecond, burst }),
    userAgent: `etcdguardian${component === undefined ? '' : `-${component}`}/${VERSION}`,
    largestAnswer: options.largestAnswer ?? 64 * 2 ** 20,
    random: options.random ?? Math.random,
  };
  const shared = { parts, silentMs: options.silentMs ?? 150_000 };
  return {
    ...kubeClient(shared, {}),
    namespace: access.namespace,
    guardedBy: (check) => kubeClient(shared, { guard: check }),
    [Symbol.dispose]: () => {
      exchanger.close();
    },
  };
}

async function findAccess({
  kubeconfig,
  context,
  env = process.env,
}: ConnectKubeOptions): Promise<KubeAccess> {
  const named = kubeconfig ?? (env.KUBECONFIG === '' ? undefined : env.KUBECONFIG);
  if (named === undefined && context === undefined && isInCluster(env)) return await inClusterAccess(env);
  return await kubeconfigAccess(named ?? join(homedir(), '.kube', 'config'), context);
}

interface Shared {
  readonly parts: CallerParts;
  readonly silentMs: number;
}

/** On whose behalf, and as long as what holds. */
interface Manner {
  readonly headers?: Headers;
  readonly guard?: () => void;
}

const MERGE_PATCH = 'application/merge-patch+json';
const FIELD_MANAGER = 'etcdguardian';
/** Spread, so that the watches of all replicas don't end at once. */
const WATCH_SECONDS = { least: 300, spread: 300 };
/** Reviews are written with POST, and change nothing. */
const REVIEWS = ['authorization.k8s.io', 'authentication.k8s.io'];

function kubeClient(shared: Shared, manner: Manner): KubeClient {
  const { parts } = shared;
  const call = async (details: ApiCall): Promise<unknown> =>
    await callApi(parts, {
      ...details,
      headers: { ...details.headers, ...manner.headers },
      guard: details.method === 'GET' ? undefined : manner.guard,
    });
  const client: KubeClient = {
    server: parts.access.server,
    async get(reference, { signal } = {}) {
      const what = `get ${nameOf(reference)}`;
      return asObject(
        what,
        await call({ what, method: 'GET', path: objectPath(reference), signal, repeatable: true }),
      );
    },
    async list(resource, listOptions = {}) {
      const { signal, namespace, ...parameters } = listOptions;
      const what = `list ${collectionName(resource, namespace)}`;
      const path = collectionPath(resource, namespace) + queryText(parameters);
      return asList(what, await call({ what, method: 'GET', path, signal, repeatable: true }));
    },
    async *watch<T extends KubeObject>(
      resource: KubeResource,
      listOptions: KubeListOptions & { readonly resourceVersion: string },
    ) {
      const { signal, namespace, labelSelector, fieldSelector, resourceVersion } = listOptions;
      const timeoutSeconds = Math.round(WATCH_SECONDS.least + WATCH_SECONDS.spread * parts.random());
      const what = `watch ${collectionName(resource, namespace)}`;
      const query = { labelSelector, fieldSelector, resourceVersion, timeoutSeconds };
      const path =
        collectionPath(resource, namespace) + queryText({ watch: true, allowWatchBookmarks: true, ...query });
      const headers = manner.headers ?? {};
      const stream = await openStream(parts, {
        what,
        method: 'GET',
        path,
        headers,
        signal,
        repeatable: true,
      });
      const abort = (): void => {
        stream.destroy();
      };
      // The server ends it by then, if it still can.
      const overdue = setTimeout(abort, (timeoutSeconds + 30) * 1000);
      signal?.addEventListener('abort', abort, { once: true });
      try {
        yield* watchEvents<T>(stream, what, shared.silentMs);
        signal?.throwIfAborted();
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        clearTimeout(overdue);
        signal?.removeEventListener('abort', abort);
      }
    },
    async create(resource, namespace, object, createOptions = {}) {
      const { signal, subresourceOf, subresource } = createOptions;
      const what =
        subresourceOf === undefined
          ? `create ${collectionName(resource, namespace)}`
          : `create ${nameOf({ resource, namespace, name: subresourceOf, subresource })}`;
      const path =
        subresourceOf === undefined
          ? collectionPath(resource, namespace)
          : objectPath({ resource, namespace, name: subresourceOf, subresource });
      const created = await call({
        ...{ what, method: 'POST', path: path + writeQuery(createOptions), body: object, signal },
        repeatable: createOptions.dryRun === true || REVIEWS.includes(resource.group),
      });
      return created as never;
    },
    async replace(reference, object, writeOptions = {}) {
      const what = `update ${nameOf(reference)}`;
      const path = objectPath(reference) + writeQuery(writeOptions);
      const { signal } = writeOptions;
      return asObject(
        what,
        await call({ what, method: 'PUT', path, body: object, signal, repeatable: false }),
      );
    },
    async mergePatch(reference, patch, writeOptions = {}) {
      const what = `patch ${nameOf(reference)}`;
      const path = objectPath(reference) + writeQuery(writeOptions);
      const { signal } = writeOptions;
      const sent = { what, method: 'PATCH', path, body: patch, contentType: MERGE_PATCH, signal };
      return asObject(what, await call({ ...sent, repeatable: false }));
    },
    async delete(reference, deleteOptions = {}) {
      const { uid, resourceVersion, propagation, dryRun, signal } = deleteOptions;
      await call({
        what: `delete ${nameOf(reference)}`,
        ...{ method: 'DELETE', path: objectPath(reference), signal, repeatable: false },
        body: {
          ...{ apiVersion: 'v1', kind: 'DeleteOptions' },
          ...{ preconditions: { uid, resourceVersion }, propagationPolicy: propagation },
          ...(dryRun === true ? { dryRun: ['All'] } : {}),
        },
      });
    },
    async raw(method, path, body, { signal, accept, contentType } = {}) {
      return await call({
        ...{ what: `${method} ${path}`, method, path, body, signal, repeatable: method === 'GET' },
        ...(contentType === undefined ? {} : { contentType }),
        headers: accept === undefined ? {} : { accept },
      });
    },
    as(requester: Requester) {
      return kubeClient(shared, { ...manner, headers: impersonationHeaders(requester) });
    },
  };
  return client;
}

function writeQuery({
  dryRun,
  fieldManager = FIELD_MANAGER,
}: {
  dryRun?: boolean | undefined;
  fieldManager?: string | undefined;
}): string {
  return queryText({ fieldManager, dryRun: dryRun === true ? 'All' : undefined });
}

/** `etcdbackups.etcdguardian.io team-a/nightly`. */
function nameOf({ resource, namespace, name, subresource }: KubeReference): string {
  const part = subresource === undefined ? '' : `/${subresource}`;
  const place = namespace === undefined ? '' : `${namespace}/`;
  return `${resourceName(resource)}${part} ${place}${name}`;
}

function collectionName(resource: KubeResource, namespace: string | undefined): string {
  return `${resourceName(resource)}${namespace === undefined ? '' : ` in ${namespace}`}`;
}

function asObject(what: string, value: unknown): never {
  if (typeof value === 'object' && value !== null && 'metadata' in value) return value as never;
  throw new GuardianError('kubernetes.refused', `${what}: the answer is no object of Kubernetes`);
}

function asList(what: string, value: unknown): KubeList<never> {
  const list = value as Partial<KubeList<never>> | null;
  if (typeof list === 'object' && typeof list?.metadata === 'object') {
    // Go writes an empty list of some kinds as null.
    return { ...list, metadata: list.metadata, items: Array.isArray(list.items) ? list.items : [] };
  }
  throw new GuardianError('kubernetes.refused', `${what}: the answer is no list`);
}
