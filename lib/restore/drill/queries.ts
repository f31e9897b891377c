import { z } from 'zod';
import { GuardianError } from '../../guardian-error.ts';
import { DEFAULT_PREFIX } from '../../keyspace/parse-key.ts';

const title = z.string().min(1).max(200).optional();
const key = z.string().min(1).max(4096);
const least = z.int().min(0);
/** Names of an object's fields, from the outside in: `spec.replicas`, `data["app.conf"]`, `spec.ports[0].port`. */
const field = z.string().regex(/^[A-Za-z_$][\w-]*(?:\.[A-Za-z_$][\w-]*|\[\d{1,9}\]|\["[^"]{1,300}"\])*$/);
const fieldValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const segment = z.string().regex(/^[^/\s]{1,253}$/);

const keyQuery = z
  .strictObject({ title, key, field: field.optional(), equals: fieldValue.optional() })
  .refine(fieldForEquals, 'equals needs field');
const prefixQuery = z.strictObject({ title, prefix: key, atLeast: least.default(1) });
const resourceQuery = z.strictObject({
  title,
  resource: segment,
  namespace: segment.optional(),
  atLeast: least.default(1),
});
const objectQuery = z
  .strictObject({
    title,
    resource: segment,
    namespace: segment.optional(),
    object: segment,
    field: field.optional(),
    equals: fieldValue.optional(),
  })
  .refine(fieldForEquals, 'equals needs field');

function fieldForEquals(asked: { readonly field?: unknown; readonly equals?: unknown }): boolean {
  return asked.equals === undefined || asked.field !== undefined;
}

/** What a person wants to be there after a restore. docs/drills.md tells the words. */
export type Query =
  KeyQuery | Readonly<z.output<typeof prefixQuery>> | ObjectQuery | Readonly<z.output<typeof resourceQuery>>;
export type KeyQuery = Readonly<z.output<typeof keyQuery>>;
export type ObjectQuery = Readonly<z.output<typeof objectQuery>>;

const queryFile = z.strictObject({ queries: z.array(z.unknown()).min(1).max(1000) });

const SHAPES: readonly (readonly [word: string, schema: z.ZodType<Query>])[] = [
  ['key', keyQuery],
  ['prefix', prefixQuery],
  ['object', objectQuery],
  ['resource', resourceQuery],
];

/** Reads a file of queries. `source` names it for whoever wrote it. Throws `drill.queries`. */
export function parseQueries(content: unknown, source: string): Query[] {
  const file = queryFile.safeParse(content);
  if (!file.success) throw wrong(source, z.prettifyError(file.error));
  return file.data.queries.map((one, index) => {
    const shape = SHAPES.find(([word]) => typeof one === 'object' && one !== null && word in one);
    if (shape === undefined) {
      throw wrong(source, `query ${index + 1} has none of ${SHAPES.map(([word]) => word).join(', ')}`);
    }
    const parsed = shape[1].safeParse(one);
    if (parsed.success) return parsed.data;
    throw wrong(source, `query ${index + 1}: ${z.prettifyError(parsed.error)}`);
  });
}

function wrong(source: string, why: string): GuardianError {
  return new GuardianError('drill.queries', `${source}: ${why.replaceAll(/\s*\n\s*/g, ' ')}`, {
    hint: 'write it like {"queries": [{"key": "/registry/…"}, {"resource": "deployments", "namespace": "shop", "atLeast": 3}]}; docs/drills.md tells all',
  });
}

/** What a query asks, for people. */
export function queryText(asked: Query): string {
  if (asked.title !== undefined) return asked.title;
  if ('prefix' in asked) return `at least ${asked.atLeast} keys below ${asked.prefix}`;
  const where = 'namespace' in asked && asked.namespace !== undefined ? ` in ${asked.namespace}` : '';
  if ('atLeast' in asked) return `at least ${asked.atLeast} ${asked.resource}${where}`;
  const what = 'key' in asked ? `key ${asked.key}` : `${asked.resource} ${asked.object}${where}`;
  if (asked.field === undefined) return `${what} is there`;
  if (asked.equals === undefined) return `${what} has ${asked.field}`;
  const value = isOfSecret(asked) ? 'the value that it should have' : JSON.stringify(asked.equals);
  return `${what} has ${asked.field} = ${value}`;
}

/** Whether what is asked for is in a Secret, whose values nobody repeats. */
export function isOfSecret(asked: { readonly key: string } | { readonly resource: string }): boolean {
  return 'key' in asked ? asked.key.startsWith(`${DEFAULT_PREFIX}/secrets/`) : asked.resource === 'secrets';
}
