import { exactJson } from './exact-json.ts';
import { wireFields } from './protobuf-fields.ts';
import { PROTOBUF_MAGIC } from './value-encoding.ts';

/** metav1.OwnerReference. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: boolean;
  readonly blockOwnerDeletion: boolean;
}

/** What ties an object to others, and to its end. */
export interface ObjectTies {
  readonly owners: readonly Owner[];
  readonly isBeingDeleted: boolean;
}

/** Of a stored value, protobuf or JSON. Throws for bytes that are none. */
export function objectTies(value: Buffer): ObjectTies {
  return value[0] === 0x7b ? tiesInJson(value) : tiesInProtobuf(value.subarray(PROTOBUF_MAGIC.length));
}

const DELETION_TIMESTAMP = 9;
const OWNER_REFERENCES = 13;

function tiesInProtobuf(envelope: Buffer): ObjectTies {
  const owners: Owner[] = [];
  let isBeingDeleted = false;
  // runtime.Unknown: raw = 2; of every object: metadata = 1.
  for (const { number, content } of fieldsAt(envelope, [2, 1])) {
    if (number === DELETION_TIMESTAMP) isBeingDeleted = true;
    if (number === OWNER_REFERENCES && content !== undefined) owners.push(ownerOf(content));
  }
  return { owners, isBeingDeleted };
}

function* fieldsAt(message: Buffer, path: readonly number[]): ReturnType<typeof wireFields> {
  const [step, ...rest] = path;
  if (step === undefined) {
    yield* wireFields(message);
    return;
  }
  for (const { number, content } of wireFields(message))
    if (number === step && content !== undefined) yield* fieldsAt(content, rest);
}

/** kind = 1, name = 3, uid = 4, apiVersion = 5, controller = 6, blockOwnerDeletion = 7. */
function ownerOf(message: Buffer): Owner {
  const texts = new Map<number, string>();
  const flags = new Set<number>();
  for (const { number, content, integer } of wireFields(message)) {
    if (content !== undefined) texts.set(number, content.toString());
    if (integer === 1n) flags.add(number);
  }
  return {
    ...{ kind: texts.get(1) ?? '', name: texts.get(3) ?? '', uid: texts.get(4) ?? '' },
    ...{ apiVersion: texts.get(5) ?? '', controller: flags.has(6), blockOwnerDeletion: flags.has(7) },
  };
}

function tiesInJson(value: Buffer): ObjectTies {
  const { metadata } = exactJson(value) as { readonly metadata?: Readonly<Record<string, unknown>> | null };
  const references = Array.isArray(metadata?.ownerReferences) ? (metadata.ownerReferences as unknown[]) : [];
  const text = (found: unknown): string => (typeof found === 'string' ? found : '');
  const owners = references.flatMap((reference) => {
    if (typeof reference !== 'object' || reference === null) return [];
    const fields = reference as Readonly<Record<string, unknown>>;
    return [
      {
        ...{ kind: text(fields.kind), name: text(fields.name), uid: text(fields.uid) },
        apiVersion: text(fields.apiVersion),
        ...{ controller: fields.controller === true, blockOwnerDeletion: fields.blockOwnerDeletion === true },
      },
    ];
  });
  const deletion = metadata?.deletionTimestamp;
  return { owners, isBeingDeleted: deletion !== undefined && deletion !== null };
}
