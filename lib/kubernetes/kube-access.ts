import type { Agent } from 'node:https';

/** Where an API server is, and how to log in to it. */
export interface KubeAccess {
  /** `https://host:port`, perhaps with a path; no slash at its end. */
  readonly server: string;
  /** The namespace that the kubeconfig's context names, or that the pod runs in. */
  readonly namespace: string | undefined;
  /** What to log in with now. `refused`: what was given last was not accepted, so it is looked up anew. */
  credentials(refused: boolean): Promise<KubeCredentials>;
}

export interface KubeCredentials {
  /** E.g. `authorization`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: KubeTls;
  /** A way of its own to the server, through a proxy. */
  readonly agent?: Agent | undefined;
}

export interface KubeTls {
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly servername?: string | undefined;
  /** False only where the user's own kubeconfig says so. */
  readonly rejectUnauthorized?: boolean | undefined;
}

/** How long what was read from files counts as current: kubelets replace tokens long before they expire. */
export const FRESH_MS = 10_000;

/**
 * Remembers what `load` gave for `FRESH_MS`; callers at the same time share one load. With `refused`, loads anew, but
 * not twice within a second, so that a user without access doesn't start a login program for each call.
 */
export function rememberCredentials(
  load: (refused: boolean) => Promise<KubeCredentials>,
  monotonic: () => number = () => performance.now(),
): (refused: boolean) => Promise<KubeCredentials> {
  const AT_LEAST_MS = 1_000;
  let loaded: { readonly at: number; readonly credentials: Promise<KubeCredentials> } | undefined;
  return async (refused) => {
    const age = loaded === undefined ? Infinity : monotonic() - loaded.at;
    if (loaded !== undefined && age < (refused ? AT_LEAST_MS : FRESH_MS)) return await loaded.credentials;
    const current = { at: monotonic(), credentials: load(refused) };
    loaded = current;
    try {
      return await current.credentials;
    } catch (error) {
      if (loaded === current) loaded = undefined;
      throw error;
    }
  };
}
