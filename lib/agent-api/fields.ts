import { z } from 'zod';

/** Revisions, ids and terms: 64 bits, as proto-loader gives them. */
export const wide = z
  .string()
  .regex(/^-?\d{1,20}$/)
  .transform((text) => BigInt(text));

/** Sizes, counts and times in milliseconds, which are exact as a number. */
export const exact = z.string().transform(Number).pipe(z.int());

/** 32 bits. */
export const small = z.int();

export const text = z.string();
export const texts = z.array(z.string());
export const flag = z.boolean();
export const bytes = z.instanceof(Uint8Array);

/** A message that may be absent. */
export function maybe<T>(message: z.ZodType<T>) {
  return message.nullish().transform((value) => value ?? undefined);
}

/** What a message is where it is written: what is left out has its type's zero value, as proto3 says. */
export type Sent<T> = T extends bigint | string | number | boolean | Uint8Array | undefined
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Sent<Element>[]
    : { readonly [Field in keyof T]?: Sent<T[Field]> | undefined };

/** The message as protobufjs takes it, which has no `bigint`. */
export function encodable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(encodable);
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, field]) => (field === undefined ? [] : [[name, encodable(field)]])),
  );
}
