import type { Requester } from './api/etcd-backup-spec.ts';
import type { ObjectMeta } from './object-meta.ts';

/** A resource of the API: `group` is empty for the core group, `plural` its name in URLs. */
export interface KubeResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

/** One object, or with `subresource` a part of it. `namespace` is left out for cluster-wide resources. */
export interface KubeReference {
  readonly resource: KubeResource;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly subresource?: string | undefined;
}

/** What every object has; `Kind` interfaces in `api/` extend it by their specs. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface KubeList<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

export interface KubeCallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface KubeListOptions extends KubeCallOptions {
  /** Left out: in all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

export interface KubeWriteOptions extends KubeCallOptions {
  readonly dryRun?: boolean | undefined;
  /** Default `etcdguardian`. */
  readonly fieldManager?: string | undefined;
}

export interface KubeDeleteOptions extends KubeWriteOptions {
  /** Only if it is still this very object. */
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly propagation?: 'Foreground' | 'Background' | 'Orphan' | undefined;
}

export type KubeWatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/**
 * The Kubernetes API, as far as this program speaks it. Rejects with a `GuardianError`: `kubernetes.not-found`,
 * `kubernetes.exists`, `kubernetes.conflict`, `kubernetes.forbidden`, `kubernetes.unauthorized`, `kubernetes.invalid`,
 * `kubernetes.gone` (410), `kubernetes.busy` (429, retryable), `kubernetes.unreachable` (no answer, retryable),
 * `kubernetes.unavailable` (5xx, retryable), `kubernetes.too-large` (the answer), `kubernetes.credentials` (no way to log
 * in), `kubernetes.refused` (everything else), and with the signal's reason. `statusOf(error)` tells what the server said.
 * Reads that fail for a moment, and 429s, are repeated inside, after what `Retry-After` says. The token, client
 * certificate and CA are read anew when their files change.
 */
export interface KubeClient {
  /** `https://…`, for people. */
  readonly server: string;
  get<T extends KubeObject>(reference: KubeReference, options?: KubeCallOptions): Promise<T>;
  /** One page. */
  list<T extends KubeObject>(resource: KubeResource, options?: KubeListOptions): Promise<KubeList<T>>;
  /** Ends when the server ends it. Rejects with `kubernetes.gone` when it is too late for `resourceVersion`. */
  watch<T extends KubeObject>(
    resource: KubeResource,
    options: KubeListOptions & { readonly resourceVersion: string },
  ): AsyncIterable<KubeWatchEvent<T>>;
  create<T extends object>(
    resource: KubeResource,
    namespace: string | undefined,
    object: object,
    options?: KubeWriteOptions & { readonly subresourceOf?: string; readonly subresource?: string },
  ): Promise<T>;
  /** A PUT: with `metadata.resourceVersion` in it, only over that. */
  replace<T extends KubeObject>(reference: KubeReference, object: T, options?: KubeWriteOptions): Promise<T>;
  /** JSON merge patch (RFC 7386). */
  mergePatch<T extends KubeObject>(
    reference: KubeReference,
    patch: object,
    options?: KubeWriteOptions,
  ): Promise<T>;
  delete(reference: KubeReference, options?: KubeDeleteOptions): Promise<void>;
  /**
   * Any other path, e.g. `/version`, `/apis`; resolves to the parsed JSON. Bytes are sent as they are; they need their
   * `contentType`.
   */
  raw(
    method: string,
    path: string,
    body?: object,
    options?: KubeCallOptions & {
      readonly accept?: string | undefined;
      readonly contentType?: string | undefined;
    },
  ): Promise<unknown>;
  /** The same API with this user's rights, by impersonation: username, uid, groups and extra exactly as stamped. */
  as(requester: Requester): KubeClient;
}
