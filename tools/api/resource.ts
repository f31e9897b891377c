import { z } from 'zod';

/** The part of OpenAPI's schemas that structural schemas of ours use. */
export interface Schema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string | undefined;
  readonly format?: string | undefined;
  readonly enum?: readonly string[] | undefined;
  readonly default?: unknown;
  readonly required?: readonly string[] | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly additionalProperties?: Schema | undefined;
  readonly items?: Schema | undefined;
}

/** A custom resource as its CustomResourceDefinition says. */
export interface Resource {
  readonly kind: string;
  readonly plural: string;
  readonly group: string;
  readonly version: string;
  readonly schema: Schema;
}

const SchemaText: z.ZodType<Schema> = z.lazy(() =>
  z.object({
    type: z.enum(['object', 'array', 'string', 'integer', 'boolean']),
    description: z.string().optional(),
    format: z.string().optional(),
    enum: z.array(z.string()).optional(),
    default: z.unknown().optional(),
    required: z.array(z.string()).optional(),
    properties: z.record(z.string(), SchemaText).optional(),
    additionalProperties: SchemaText.optional(),
    items: SchemaText.optional(),
  }),
);

const Definition = z.object({
  spec: z.object({
    group: z.string(),
    names: z.object({ kind: z.string(), plural: z.string() }),
    versions: z.tuple([z.object({ name: z.string(), schema: z.object({ openAPIV3Schema: SchemaText }) })]),
  }),
});

/** Throws for a definition that has several versions, or schemas that types can't be made of. */
export function readResource(definition: unknown): Resource {
  const { group, names, versions } = Definition.parse(definition).spec;
  const [{ name: version, schema }] = versions;
  return { ...names, group, version, schema: schema.openAPIV3Schema };
}
