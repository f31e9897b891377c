import { GuardianError, hasCode } from '../../guardian-error.ts';
import type { ServedResource } from '../discovery.ts';
import type { KubeClient, KubeList, KubeObject } from '../kube-client.ts';

/** One object as the API server gives it, with its type. */
export interface ListedObject {
  readonly namespace: string;
  readonly name: string;
  readonly json: Buffer;
}

export interface KindListing {
  readonly resource: ServedResource;
  readonly namespaces: readonly string[];
  readonly revision: bigint;
  readonly signal: AbortSignal;
  /** Told of an object that JSON can't carry without loss; it is left out. */
  readonly onLossy: (namespace: string, name: string) => void;
}

export interface ListedKind {
  readonly objects: readonly ListedObject[];
  readonly revision: bigint;
  /** Set where the server had no longer the revision that was asked for. */
  readonly restarted: string | undefined;
}

/**
 * All objects of one kind as the client's user may list them, at exactly that revision. Where the API server no longer
 * has it, the kind is listed once more as a whole, at a newer one, which is told. Rejects with the client's errors.
 */
export async function listKind(client: KubeClient, listing: KindListing): Promise<ListedKind> {
  try {
    return { ...(await listAt(client, listing, listing.revision)), restarted: undefined };
  } catch (error) {
    if (!hasCode(error, 'kubernetes.gone')) throw error;
    const restarted = `the API server no longer had revision ${listing.revision}`;
    return { ...(await listAt(client, listing, undefined)), restarted };
  }
}

async function listAt(
  client: KubeClient,
  { resource, namespaces, signal, onLossy }: KindListing,
  wanted: bigint | undefined,
): Promise<{ objects: ListedObject[]; revision: bigint }> {
  const objects: ListedObject[] = [];
  let bytes = 0;
  let revision = wanted;
  for (const namespace of namespaces) {
    for await (const page of pagesOf(client, resource, namespace, revision, signal)) {
      revision ??= BigInt(page.metadata.resourceVersion);
      for (const item of page.items) {
        const { name } = item.metadata;
        if (item.metadata.namespace !== namespace) throw strange(resource, namespace);
        if (!isExact(item)) {
          onLossy(namespace, name);
          continue;
        }
        const json = Buffer.from(JSON.stringify({ ...typeOf(resource), ...item }));
        bytes += json.length;
        if (bytes > MOST_BYTES) throw tooMuch(resource);
        objects.push({ namespace, name, json });
      }
    }
  }
  return { objects, revision: revision ?? 0n };
}

const PAGE = 50;
/** Of one kind: they are held until the whole kind is there, since it may have to be listed again. */
const MOST_BYTES = 64 << 20;

async function* pagesOf(
  client: KubeClient,
  resource: ServedResource,
  namespace: string,
  revision: bigint | undefined,
  signal: AbortSignal,
): AsyncGenerator<KubeList<KubeObject>, void> {
  let next: string | undefined;
  let limit = PAGE;
  for (;;) {
    const at =
      next === undefined
        ? revision === undefined
          ? {}
          : { resourceVersion: String(revision), resourceVersionMatch: 'Exact' as const }
        : { continue: next };
    let page: KubeList<KubeObject>;
    try {
      page = await client.list<KubeObject>(resource, { namespace, limit, signal, ...at });
    } catch (error) {
      if (!hasCode(error, 'kubernetes.too-large') || limit === 1) throw error;
      limit = Math.ceil(limit / 4);
      continue;
    }
    yield page;
    next = page.metadata.continue;
    if (next === '' || next === undefined) return;
  }
}

function typeOf({ group, version, kind }: ServedResource): { apiVersion: string; kind: string } {
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind };
}

/** Integers above 2^53 have lost digits by now. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.values(value).every(isExact);
}

function strange({ plural }: ServedResource, namespace: string): GuardianError {
  return new GuardianError(
    'kubernetes.refused',
    `a list of ${plural} in ${namespace} has an object of another namespace`,
  );
}

function tooMuch({ plural }: ServedResource): GuardianError {
  return new GuardianError(
    'tenant.too-large',
    `there are more than ${MOST_BYTES} bytes of ${plural}, which are encrypted at rest and so come through the API server`,
    { hint: 'Select fewer namespaces, or back the whole cluster up.' },
  );
}
