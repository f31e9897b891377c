import { z } from 'zod';
import { reasonOf } from '../guardian-error.ts';
import { MalformedProtobuf, type ProtobufField, protobufFields } from './protobuf-fields.ts';
import { type EncryptionAtRest, PROTOBUF_MAGIC, valueEncoding } from './value-encoding.ts';

/** Of metav1.ObjectMeta what tells objects apart. Absent strings are empty, as Kubernetes has it. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly creationTimestamp: Date | undefined;
  readonly labels: ReadonlyMap<string, string>;
}

/** What a value in etcd turned out to be. */
export type StoredObject =
  | {
      readonly kind: 'object';
      readonly apiVersion: string;
      readonly objectKind: string;
      readonly meta: ObjectMeta;
    }
  | { readonly kind: 'encrypted'; readonly encryption: EncryptionAtRest }
  /** Begins like an object and is none; the reason is for people. */
  | { readonly kind: 'malformed'; readonly reason: string }
  /** Of an encoding that is not read here: CBOR, or nothing of Kubernetes. */
  | { readonly kind: 'foreign' };

/**
 * Reads type and metadata of a stored value, whoever made it; throws nothing. A protobuf field that is there twice
 * makes the value malformed: readers differ on which one counts, and no API server writes it.
 */
export function readStoredObject(value: Buffer): StoredObject {
  const encoding = valueEncoding(value);
  try {
    switch (encoding.kind) {
      case 'encrypted':
        return encoding;
      case 'protobuf':
        return readProtobuf(value.subarray(PROTOBUF_MAGIC.length));
      case 'json':
        return readJson(value);
      default:
        return { kind: 'foreign' };
    }
  } catch (error) {
    return { kind: 'malformed', reason: reasonOf(error) };
  }
}

/** runtime.Unknown: typeMeta = 1 {apiVersion = 1, kind = 2}, raw = 2: the object, whose metadata is its field 1. */
function readProtobuf(envelope: Buffer): StoredObject {
  const unknown = fieldsOf(envelope, [1, 2]);
  const type = fieldsOf(bytesOf(unknown.get(1)), [1, 2]);
  const object = fieldsOf(bytesOf(unknown.get(2)), [1]);
  return {
    kind: 'object',
    apiVersion: textOf(type.get(1)),
    objectKind: textOf(type.get(2)),
    meta: readObjectMeta(bytesOf(object.get(1))),
  };
}

const META = { name: 1, namespace: 3, uid: 5, creationTimestamp: 8, labels: 11 };

function readObjectMeta(message: Buffer): ObjectMeta {
  const { name, namespace, uid, creationTimestamp } = META;
  const meta = fieldsOf(message, [name, namespace, uid, creationTimestamp]);
  const labels = new Map<string, string>();
  for (const { number, value } of protobufFields(message)) {
    if (number !== META.labels) continue;
    const entry = fieldsOf(bytesOf(value), [1, 2]);
    const key = textOf(entry.get(1));
    if (labels.has(key)) throw new MalformedProtobuf(`label ${key} twice`);
    labels.set(key, textOf(entry.get(2)));
  }
  const created = meta.get(creationTimestamp);
  return {
    name: textOf(meta.get(name)),
    namespace: textOf(meta.get(namespace)),
    uid: textOf(meta.get(uid)),
    creationTimestamp: created === undefined ? undefined : timeOf(bytesOf(created)),
    labels,
  };
}

/** metav1.Time: seconds = 1, since 1970. An empty one is Kubernetes' zero time, which means none. */
function timeOf(message: Buffer): Date | undefined {
  const seconds = fieldsOf(message, [1]).get(1);
  if (seconds === undefined) return undefined;
  if (typeof seconds !== 'bigint') throw new MalformedProtobuf('a time that is no number');
  const time = new Date(Number(BigInt.asIntN(64, seconds)) * 1000);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** The wanted fields by number; each may be there once. */
function fieldsOf(message: Buffer, wanted: readonly number[]): Map<number, ProtobufField['value']> {
  const found = new Map<number, ProtobufField['value']>();
  for (const { number, value } of protobufFields(message)) {
    if (!wanted.includes(number)) continue;
    if (found.has(number)) throw new MalformedProtobuf(`field ${number} twice`);
    found.set(number, value);
  }
  return found;
}

function bytesOf(value: ProtobufField['value'] | undefined): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  if (typeof value === 'bigint') throw new MalformedProtobuf('a number where a message belongs');
  return value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function textOf(value: ProtobufField['value'] | undefined): string {
  return utf8.decode(bytesOf(value));
}

const jsonObject = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({
    name: z.string().default(''),
    namespace: z.string().default(''),
    uid: z.string().default(''),
    creationTimestamp: z.string().nullish(),
    labels: z.unknown().optional(),
  }),
});

function readJson(value: Buffer): StoredObject {
  const json: unknown = JSON.parse(utf8.decode(value));
  const parsed = jsonObject.safeParse(json);
  if (!parsed.success)
    return { kind: 'malformed', reason: z.prettifyError(parsed.error).replaceAll('\n', ' ') };
  const { apiVersion, kind, metadata } = parsed.data;
  const created = new Date(metadata.creationTimestamp ?? Number.NaN);
  return {
    kind: 'object',
    apiVersion,
    objectKind: kind,
    meta: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      creationTimestamp: Number.isNaN(created.getTime()) ? undefined : created,
      labels: labelsOf(metadata.labels),
    },
  };
}

/** Label names come from outside: no object is keyed by them. */
function labelsOf(labels: unknown): Map<string, string> {
  if (labels === undefined || labels === null) return new Map();
  if (typeof labels !== 'object') throw new Error('labels that are no object');
  return new Map(
    Object.entries(labels).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string') throw new Error(`label ${name} is no text`);
      return [name, value];
    }),
  );
}
