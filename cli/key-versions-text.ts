import { Buffer } from 'node:buffer';
import type { KeyValue } from '../lib/etcd/mvcc/key-value.ts';
import { readStoredObject, type StoredObject } from '../lib/keyspace/object-meta.ts';
import { bytes, count, table } from './output.ts';
import { visibleText } from '../lib/visible-text.ts';

/** One change of a key, as far as anyone knows it. */
export interface KeyVersion {
  readonly revision: bigint;
  /** When it was seen; undefined for what happened before the capture: only that it was before `knownBy`. */
  readonly seenAt: Date | undefined;
  /** When a base held it already. */
  readonly knownBy: Date | undefined;
  readonly what: 'created' | 'changed' | 'written again' | 'deleted';
  readonly put: PutVersion | undefined;
}

/** What was put. */
export interface PutVersion {
  readonly version: bigint;
  readonly createRevision: bigint;
  readonly lease: bigint;
  readonly size: number;
  readonly object: StoredObject;
  /** Kept only where it is to be shown. */
  readonly value: Buffer | undefined;
}

/** `before`: the value of the version before, where there is one. */
export function whatHappened(put: KeyValue | undefined, before: Buffer | undefined): KeyVersion['what'] {
  if (put === undefined) return 'deleted';
  if (put.version === 1n) return 'created';
  return before?.equals(put.value) === true ? 'written again' : 'changed';
}

export function putVersion(
  { version, createRevision, lease, value }: KeyValue,
  keepValue: boolean,
): PutVersion {
  return {
    ...{ version, createRevision, lease, size: value.length },
    object: readStoredObject(value),
    value: keepValue ? value : undefined,
  };
}

/** A version as the commands print it in JSON. */
export function versionValue({
  revision,
  seenAt,
  knownBy,
  what,
  put,
}: KeyVersion): Readonly<Record<string, unknown>> {
  return {
    ...{ revision, seenAt: seenAt ?? null, knownBy: knownBy ?? null, what },
    ...(put === undefined
      ? {}
      : {
          ...{ version: put.version, createRevision: put.createRevision, size: put.size },
          lease: put.lease === 0n ? null : hex(put.lease),
          object: objectValue(put.object),
          ...(put.value === undefined ? {} : { valueBase64: put.value.toString('base64') }),
        }),
  };
}

/** Oldest first, so that what came last stands last. */
export function versionsText(versions: readonly KeyVersion[]): string {
  const rows = versions.map(({ revision, seenAt, knownBy, what, put }) => [
    count(revision),
    seenAt?.toISOString() ?? (knownBy === undefined ? '' : `before ${knownBy.toISOString().slice(0, 19)}Z`),
    what === 'deleted' ? 'DELETED' : what,
    put === undefined ? '' : count(put.version),
    put === undefined ? '' : bytes(put.size),
    put === undefined ? '' : objectText(put.object) + (put.lease === 0n ? '' : `, lease ${hex(put.lease)}`),
  ]);
  return table(['REVISION', 'SEEN', 'WHAT', 'VERSION', 'SIZE', 'HOLDS'], rows);
}

/** The values, each under a line that says which one it is. */
export function valuesText(versions: readonly KeyVersion[]): string {
  return versions
    .map(({ revision, what, put }) => {
      if (put?.value === undefined) return `\n--- revision ${count(revision)}: ${what}\n`;
      return `\n--- revision ${count(revision)}: ${what}, ${bytes(put.size)}\n${valueText(put.value)}\n`;
    })
    .join('');
}

/** Text as it is, JSON indented; everything else in base64. */
export function valueText(value: Buffer): string {
  const text = value.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(value) && !/[^\P{Cc}\n\r\t]/u.test(text);
  if (!isText) return `(base64) ${value.toString('base64')}`;
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return visibleText(text);
  }
}

export function objectText(object: StoredObject): string {
  switch (object.kind) {
    case 'object': {
      const { name, namespace, uid } = object.meta;
      const where = namespace === '' ? name : `${namespace}/${name}`;
      return `${object.objectKind} ${where}${uid === '' ? '' : `, uid ${uid}`}`;
    }
    case 'encrypted':
      return `encrypted at rest (${object.encryption.scheme} ${object.encryption.keyName})`;
    case 'malformed':
      return `no readable object: ${object.reason}`;
    case 'foreign':
      return 'no Kubernetes object';
  }
}

function objectValue(object: StoredObject): Readonly<Record<string, unknown>> {
  if (object.kind !== 'object') return { ...object };
  const { name, namespace, uid, creationTimestamp } = object.meta;
  return {
    ...{ kind: 'object', apiVersion: object.apiVersion, objectKind: object.objectKind },
    ...{ name, namespace, uid, creationTimestamp: creationTimestamp ?? null },
  };
}

function hex(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}
