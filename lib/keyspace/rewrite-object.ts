import { Buffer } from 'node:buffer';
import { type ClearedField, type ClearedParts, clearedParts } from './cleared-fields.ts';
import { exactJson } from './exact-json.ts';
import { bytesField, type Edit, editMessage } from './protobuf-edit.ts';
import { wireFields } from './protobuf-fields.ts';
import { PROTOBUF_MAGIC } from './value-encoding.ts';

export interface Rewriting {
  /** Where it lay: says what is cleared. */
  readonly directory: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** To take the place of an object that is there. */
  readonly resourceVersion?: string | undefined;
  /** True: that is the very object that was stored, by its uid; then nothing of it needs clearing. */
  readonly isSame?: boolean | undefined;
}

/** Something to be sent to an API server. */
export interface SendableObject {
  readonly contentType: 'application/json' | 'application/vnd.kubernetes.protobuf';
  readonly body: Buffer;
}

/**
 * A stored value as it is sent to be created anew: without what the API server gave it (uid, versions, times, managed
 * fields), without owners, and without what belongs to its old place. Everything else stays as it was stored, byte by
 * byte in protobuf, digit by digit in JSON. Throws for bytes that are no such value.
 */
export function rewriteObject(value: Buffer, rewriting: Rewriting): SendableObject {
  if (value[0] === 0x7b) return { contentType: 'application/json', body: rewriteJson(value, rewriting) };
  const body = Buffer.concat([
    PROTOBUF_MAGIC,
    rewriteEnvelope(value.subarray(PROTOBUF_MAGIC.length), rewriting),
  ]);
  return { contentType: 'application/vnd.kubernetes.protobuf', body };
}

/** Of those that the API server handles itself: an object that comes back is not being deleted. */
const FINALIZERS = ['foregroundDeletion', 'orphan'];

/** Fields of ObjectMeta by name and number (k8s.io/apimachinery, meta/v1 generated.proto). */
const SERVER_FIELDS: Readonly<Record<string, number>> = {
  generateName: 2,
  selfLink: 4,
  uid: 5,
  resourceVersion: 6,
  generation: 7,
  creationTimestamp: 8,
  deletionTimestamp: 9,
  deletionGracePeriodSeconds: 10,
  ownerReferences: 13,
  managedFields: 17,
};
const LABELS = 11;
const ANNOTATIONS = 12;
const FINALIZERS_FIELD = 14;
const RESOURCE_VERSION = 6;

/** runtime.Unknown: raw = 2, whose field 1 is the metadata. */
function rewriteEnvelope(envelope: Buffer, rewriting: Rewriting): Buffer {
  const rewriteRaw = (raw: Buffer): Buffer => {
    const parts = effectiveParts(rewriting, () => isManualJob(raw));
    const metadata: Edit = ({ content }) =>
      replaced(1, content, (meta) => rewriteMeta(meta, parts, rewriting));
    const rewritten = editMessage(raw, new Map([[1, metadata]]));
    return parts.fields.reduce((message, field) => clear(message, field, field.path), rewritten);
  };
  return editMessage(envelope, new Map([[2, ({ content }) => replaced(2, content, rewriteRaw)]]));
}

function replaced(
  number: number,
  content: Buffer | undefined,
  edit: (bytes: Buffer) => Buffer,
): 'keep' | Buffer {
  return content === undefined ? 'keep' : bytesField(number, edit(content));
}

function rewriteMeta(meta: Buffer, { labels, annotations }: ClearedParts, rewriting: Rewriting): Buffer {
  const edits = new Map<number, Edit>(Object.values(SERVER_FIELDS).map((number) => [number, () => 'drop']));
  const own = Object.keys(rewriting.annotations);
  edits.set(LABELS, withoutKeys(labels));
  edits.set(ANNOTATIONS, withoutKeys([...annotations, ...own]));
  edits.set(FINALIZERS_FIELD, ({ content }) =>
    content !== undefined && FINALIZERS.includes(content.toString()) ? 'drop' : 'keep',
  );
  const { resourceVersion } = rewriting;
  return editMessage(meta, edits, [
    ...Object.entries(rewriting.annotations).map(([key, text]) =>
      bytesField(
        ANNOTATIONS,
        Buffer.concat([bytesField(1, Buffer.from(key)), bytesField(2, Buffer.from(text))]),
      ),
    ),
    ...(resourceVersion === undefined ? [] : [bytesField(RESOURCE_VERSION, Buffer.from(resourceVersion))]),
  ]);
}

function withoutKeys(keys: readonly string[]): Edit {
  return ({ content }) => {
    if (content === undefined) return 'keep';
    for (const field of wireFields(content))
      if (field.number === 1 && keys.includes(field.content?.toString() ?? '')) return 'drop';
    return 'keep';
  };
}

/** Follows the path through every message on it. */
function clear(message: Buffer, field: ClearedField, path: ClearedField['path']): Buffer {
  const [step, ...rest] = path;
  if (step === undefined) return message;
  const [, number] = step;
  const edit: Edit = (found) => {
    if (rest.length > 0) return replaced(number, found.content, (bytes) => clear(bytes, field, rest));
    if (field.keys !== undefined) return withoutKeys(field.keys)(found);
    return field.unless !== undefined && found.content?.toString() === field.unless ? 'keep' : 'drop';
  };
  return editMessage(message, new Map([[number, edit]]));
}

/** A Job whose selector its author chose keeps it, and the labels that it selects. */
function effectiveParts({ directory, isSame }: Rewriting, isManual: () => boolean): ClearedParts {
  const parts = clearedParts(directory);
  if (isSame === true) return { fields: [], labels: [], annotations: [] };
  return directory === 'jobs' && isManual() ? { ...parts, fields: [], labels: [] } : parts;
}

/** batch/v1 JobSpec: manualSelector = 5. */
function isManualJob(raw: Buffer): boolean {
  for (const { number, content } of wireFields(raw)) {
    if (number !== 2 || content === undefined) continue;
    for (const field of wireFields(content)) if (field.number === 5 && field.integer === 1n) return true;
  }
  return false;
}

type JsonObject = Record<string, unknown>;

function rewriteJson(value: Buffer, rewriting: Rewriting): Buffer {
  const object = exactJson(value);
  if (!isObject(object) || !isObject(object.metadata))
    throw new Error('JSON that is no object of Kubernetes');
  const parts = effectiveParts(rewriting, () => isObject(object.spec) && object.spec.manualSelector === true);
  const metadata: JsonObject = { ...object.metadata };
  for (const name of Object.keys(SERVER_FIELDS)) Reflect.deleteProperty(metadata, name);
  metadata.labels = withoutNames(metadata.labels, parts.labels);
  metadata.annotations = {
    ...withoutNames(metadata.annotations, parts.annotations),
    ...rewriting.annotations,
  };
  if (Array.isArray(metadata.finalizers))
    metadata.finalizers = metadata.finalizers.filter((name) => !FINALIZERS.includes(String(name)));
  if (rewriting.resourceVersion !== undefined) metadata.resourceVersion = rewriting.resourceVersion;
  for (const field of parts.fields) clearInJson(object, field, field.path);
  return Buffer.from(JSON.stringify({ ...object, metadata }));
}

function clearInJson(node: unknown, field: ClearedField, path: ClearedField['path']): void {
  const [step, ...rest] = path;
  if (step === undefined) return;
  if (Array.isArray(node)) {
    for (const element of node) clearInJson(element, field, path);
    return;
  }
  if (!isObject(node)) return;
  const [name] = step;
  if (rest.length > 0) {
    clearInJson(node[name], field, rest);
    return;
  }
  const found = node[name];
  if (field.keys !== undefined) {
    node[name] = withoutNames(found, field.keys);
    return;
  }
  const first: unknown = Array.isArray(found) ? found[0] : found;
  if (field.unless === undefined || first !== field.unless) Reflect.deleteProperty(node, name);
}

function withoutNames(map: unknown, names: readonly string[]): JsonObject | undefined {
  if (!isObject(map)) return undefined;
  return Object.fromEntries(Object.entries(map).filter(([name]) => !names.includes(name)));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
