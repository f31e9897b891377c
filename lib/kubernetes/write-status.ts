import { isDeepStrictEqual } from 'node:util';
import type { KubeClient, KubeObject, KubeReference, KubeWriteOptions } from './kube-client.ts';

/** An object that has, or will have, a status. */
export interface WithStatus<S extends object> extends KubeObject {
  readonly status?: S | undefined;
}

/**
 * Makes `status` the object's status, if the object is still as it was read: rejects with `kubernetes.conflict` when
 * anybody changed it since, and with the client's other errors. Resolves to the object as it is then; nothing is sent when
 * there is nothing to change.
 */
export async function writeStatus<S extends object, T extends WithStatus<S>>(
  client: KubeClient,
  reference: KubeReference,
  object: T,
  status: S,
  options: KubeWriteOptions = {},
): Promise<T> {
  const patch = mergePatchOf(object.status ?? {}, status);
  if (patch === undefined) return object;
  const { uid, resourceVersion } = object.metadata;
  return await client.mergePatch<T>(
    { ...reference, subresource: 'status' },
    { metadata: { uid, resourceVersion }, status: patch },
    options,
  );
}

/**
 * The JSON merge patch (RFC 7386) that makes `from` into `to`; undefined when they are equal. What is `undefined` in
 * `to` isn't there.
 */
export function mergePatchOf(from: object, to: object): Readonly<Record<string, unknown>> | undefined {
  const patch: Record<string, unknown> = {};
  const before = from as Readonly<Record<string, unknown>>;
  const after = to as Readonly<Record<string, unknown>>;
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const was = before[name];
    const is = after[name];
    if (is === undefined) {
      if (was !== undefined) patch[name] = null;
    } else if (isMap(was) && isMap(is)) {
      const inner = mergePatchOf(was, is);
      if (inner !== undefined) patch[name] = inner;
    } else if (!isDeepStrictEqual(was, plain(is))) patch[name] = is;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** As it comes back: without what is undefined, times as text. */
function plain(value: unknown): unknown {
  return typeof value === 'object' ? (JSON.parse(JSON.stringify(value)) as unknown) : value;
}
