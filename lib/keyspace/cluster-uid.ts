import { readStoredObject } from './object-meta.ts';

/**
 * The uid of a Namespace from its value in etcd; that of kube-system names a cluster. Undefined when the value is
 * encrypted at rest, or no Namespace with a uid of the usual form.
 */
export function uidOfNamespace(value: Uint8Array): string | undefined {
  const object = readStoredObject(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  if (object.kind !== 'object' || object.apiVersion !== 'v1' || object.objectKind !== 'Namespace')
    return undefined;
  return UUID.test(object.meta.uid) ? object.meta.uid : undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
